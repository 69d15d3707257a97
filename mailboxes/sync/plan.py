"""What differs between what the server says and what is stored. Pure: no network, no database.

A folder's state is UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ and MESSAGES (RFC 9051 section
7.2, RFC 7162 section 3.1.2). All four equal means that nothing happened; a server with
CONDSTORE but without QRESYNC may leave HIGHESTMODSEQ alone when a message is expunged, so
that MESSAGES must be compared too. A server without CONDSTORE (HIGHESTMODSEQ 0) does not
tell of changed flags: its folders are always gone through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mailhub.mail.stores.base import FolderStatus, RemoteFlags

# UIDs are 32 bits wide (RFC 9051 section 2.3.1.1).
LARGEST_UID = 2**32 - 1


class FolderAction(Enum):
    """What a folder needs."""

    NOTHING = "nothing"
    FETCH_BODIES = "fetch bodies"
    COMPARE = "compare"
    REBUILD = "rebuild"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the server said when all that it held then was stored; zeros before that."""

    uid_validity: int = 0
    uid_next: int = 0
    highest_modseq: int = 0
    messages: int = 0

    @classmethod
    def of(cls, status: FolderStatus) -> Checkpoint:
        """The checkpoint that stands for this state of a folder."""
        return cls(
            status.uid_validity, status.uid_next, max(0, status.highest_modseq), status.messages
        )


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of a message in one folder; `keywords` sorted, without a backslash."""

    is_seen: bool = False
    is_flagged: bool = False
    is_answered: bool = False
    is_draft: bool = False
    keywords: tuple[str, ...] = ()

    @classmethod
    def read(cls, flags: frozenset[str]) -> Flags:
        """From flags as the server writes them, system flags in any case.

        \\Recent and \\Deleted are about a session, not about the message.
        """
        system = {flag.lower() for flag in flags if flag.startswith("\\")}
        keywords = {flag.replace("\0", "") for flag in flags if not flag.startswith("\\")}
        return cls(
            is_seen="\\seen" in system,
            is_flagged="\\flagged" in system,
            is_answered="\\answered" in system,
            is_draft="\\draft" in system,
            keywords=tuple(sorted(keywords)),
        )


@dataclass(frozen=True, slots=True)
class UidRange:
    """UIDs of the server in one stretch; the stretches of a folder leave no gap between."""

    first: int
    last: int
    uids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Differences:
    """What to do in one stretch. `new` has the newest first."""

    new: tuple[int, ...] = ()
    changed: Mapping[int, Flags] = field(default_factory=dict)
    vanished: tuple[int, ...] = ()


def choose_action(
    status: FolderStatus, stored: Checkpoint, *, lacks_bodies: bool, compare_anyway: bool = False
) -> FolderAction:
    """What a folder needs, given its state on the server and the checkpoint."""
    if stored.uid_validity and status.uid_validity != stored.uid_validity:
        return FolderAction.REBUILD
    unchanged = status.highest_modseq > 0 and Checkpoint.of(status) == stored
    if compare_anyway or not unchanged:
        return FolderAction.COMPARE
    return FolderAction.FETCH_BODIES if lacks_bodies else FolderAction.NOTHING


def ranges_newest_first(uids: Sequence[int], size: int) -> Iterator[UidRange]:
    """Stretches of `size` of these ascending UIDs; together they cover every UID there is."""
    last = LARGEST_UID
    for end in range(len(uids), 0, -size):
        part = uids[max(0, end - size) : end]
        first = part[0] if end > size else 1
        yield UidRange(first, last, part)
        last = first - 1
    if not uids:
        yield UidRange(1, LARGEST_UID, ())


def compare(
    stretch: UidRange, stored: Mapping[int, Flags], flags: Sequence[RemoteFlags] | None
) -> Differences:
    """One stretch: the UIDs that the server named, what is stored, the server's flags.

    `flags` is None where there was no need to ask (nothing is stored there). A message has
    vanished only where both answers leave it out: some servers name a message and yet
    tell no flags of it. One that went in between is seen by the next pass.
    """
    told = {
        row.uid: Flags.read(row.flags)
        for row in flags or ()
        if stretch.first <= row.uid <= stretch.last
    }
    present = told.keys() | set(stretch.uids)
    return Differences(
        new=tuple(sorted(present - stored.keys(), reverse=True)),
        changed={uid: now for uid, now in told.items() if uid in stored and stored[uid] != now},
        vanished=tuple(sorted(stored.keys() - present)),
    )

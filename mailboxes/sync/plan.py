"""What differs between what the server says and what is stored. Pure: no network, no database.

A folder's state is UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ and MESSAGES (RFC 9051 section
7.2, RFC 7162 section 3.1.2). All four equal means that nothing happened; a server with
CONDSTORE but without QRESYNC may leave HIGHESTMODSEQ alone when a message is expunged, so
that MESSAGES must be compared too. A server with CONDSTORE says what changed since the
checkpoint, one with QRESYNC also what vanished. One without CONDSTORE (HIGHESTMODSEQ 0)
does not tell of changed flags: its folders are always gone through.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mailhub.mail.stores.base import Changes, FolderStatus, RemoteFlags

# UIDs are 32 bits wide (RFC 9051 section 2.3.1.1).
LARGEST_UID = 2**32 - 1


class FolderAction(Enum):
    """What a folder needs."""

    NOTHING = "nothing"
    FETCH_BODIES = "fetch bodies"
    FOLLOW = "follow"
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
    if compare_anyway:
        return FolderAction.COMPARE
    if not unchanged:
        return FolderAction.FOLLOW if _tells_changes(status, stored) else FolderAction.COMPARE
    return FolderAction.FETCH_BODIES if lacks_bodies else FolderAction.NOTHING


def _tells_changes(status: FolderStatus, stored: Checkpoint) -> bool:
    """Whether what changed can be asked for: not of a server that went back in time."""
    return 0 < stored.highest_modseq <= status.highest_modseq and stored.uid_next <= status.uid_next


def ranges_newest_first(
    uids: Sequence[int], size: int, *, highest: int = LARGEST_UID
) -> Iterator[UidRange]:
    """Stretches of `size` of these ascending UIDs; together they cover every UID there is.

    But for those above `highest` and all of `uids`, of which nothing is known.
    """
    last = highest = max([highest, *uids[-1:]])
    for end in range(len(uids), 0, -size):
        part = uids[max(0, end - size) : end]
        first = part[0] if end > size else 1
        yield UidRange(first, last, part)
        last = first - 1
    if not uids:
        yield UidRange(1, highest, ())


def within(uids: Iterable[int], ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Those of these ascending UIDs that lie in one of the ranges, ascending by their ends."""
    found: list[int] = []
    waiting = iter(ranges)
    current = next(waiting, None)
    highest = 0
    for uid in uids:
        while current is not None and current[0] <= uid:
            highest = max(highest, current[1])
            current = next(waiting, None)
        if uid <= highest:
            found.append(uid)
    return found


def follow(changes: Changes, stored: Mapping[int, Flags], vanished: Sequence[int]) -> Differences:
    """What the server says has changed; of it what is stored, and what is and has vanished.

    A UID is never given twice: one that is said to be changed and gone is gone.
    """
    gone = set(vanished)
    told = {row.uid: Flags.read(row.flags) for row in changes.flags if row.uid not in gone}
    return Differences(
        new=tuple(sorted(told.keys() - stored.keys(), reverse=True)),
        changed={uid: now for uid, now in told.items() if uid in stored and stored[uid] != now},
        vanished=tuple(sorted(gone)),
    )


def compare_uids(stretch: UidRange, stored: Collection[int]) -> Differences:
    """One stretch by its UIDs alone, where the flags are known to be right."""
    present, known = set(stretch.uids), set(stored)
    return Differences(
        new=tuple(sorted(present - known, reverse=True)),
        vanished=tuple(sorted(known - present)),
    )


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

"""Whether a message that a folder holds is one that is known already.

A message that moved, was copied, or is read anew after a change of UIDVALIDITY is
recognised by its header (a digest of all of it, the servers' Received lines included),
its size and its arrival; its body is not fetched again. Where the header names no
Message-ID, or the arrival differs, the whole message is fetched and its content decides.

A message lies in a folder at most once: a second copy in the same folder becomes a
message of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from mailboxes.models import BodyState, FolderEntry, Message
from mailboxes.rows import take_ids
from mailboxes.sync.envelopes import Envelope
from mailboxes.sync.plan import Flags
from mailboxes.sync.writing import NewMessage, Placement, write_messages, write_placements
from mailboxes.threads import Newcomer, join_threads, refresh_threads


@dataclass(slots=True)
class Placing:
    """What became of a batch.

    `created` are ids of new messages, `complete` those of them whose bodies are stored.
    `uncertain` are UIDs of which the whole message is needed, `rethreaded` ids of messages
    whose conversation became part of another.
    """

    created: list[int] = field(default_factory=list)
    complete: list[int] = field(default_factory=list)
    attached: list[Message] = field(default_factory=list)
    uncertain: list[int] = field(default_factory=list)
    rethreaded: list[int] = field(default_factory=list)

    def add(self, other: Placing) -> None:
        """Count another batch in."""
        self.created += other.created
        self.complete += other.complete
        self.attached += other.attached
        self.uncertain += other.uncertain
        self.rethreaded += other.rethreaded


class _Known:
    """Messages of the account that may be the same as some of a batch."""

    def __init__(self, account_id: UUID, folder_id: int, envelopes: Sequence[Envelope]) -> None:
        rows = Message.objects.filter(account_id=account_id).only(
            "header_digest",
            "raw_digest",
            "size",
            "received_at",
            "body_state",
            "orphaned_at",
            "thread_id",
        )
        letters = [envelope.letter for envelope in envelopes]
        contents = {letter.body.raw_digest for letter in letters if letter.body}
        headers = {letter.header_digest for letter in letters if not letter.body}
        found: dict[int, Message] = {}
        if contents:
            found.update({row.pk: row for row in rows.filter(raw_digest__among=contents)})
        if headers:
            found.update({row.pk: row for row in rows.filter(header_digest__among=headers)})
        uids: dict[int, int] = {}
        if found:
            here = FolderEntry.objects.filter(folder_id=folder_id, message_id__in=list(found))
            uids.update(here.values_list("message_id", "uid"))
        self.stale = {pk for pk, uid in uids.items() if uid < 0}
        taken = uids.keys() - self.stale
        self._by_header: dict[str, list[Message]] = defaultdict(list)
        self._by_content: dict[str, list[Message]] = defaultdict(list)
        for row in sorted(found.values(), key=self._preference):
            if row.pk not in taken:
                self._by_header[row.header_digest].append(row)
                self._by_content[row.raw_digest].append(row)
        self._used: set[int] = set()

    def _preference(self, row: Message) -> tuple[bool, bool, int]:
        """Best the one that lay in this folder, then one that lies nowhere."""
        return (row.pk not in self.stale, row.orphaned_at is None, row.pk)

    def match(self, envelope: Envelope) -> tuple[Message | None, bool]:
        """The known message that this one is, and whether that is uncertain."""
        body = envelope.letter.body
        if body is not None:
            same = self._unused(self._by_content[body.raw_digest])
            return (self._use(same[0]), False) if same else (None, False)
        alike = [
            row
            for row in self._unused(self._by_header[envelope.letter.header_digest])
            if row.size == envelope.size
        ]
        if envelope.identifies_itself:
            for row in alike:
                if row.received_at == envelope.received_at:
                    return self._use(row), False
        # Content can only be compared with content.
        return None, any(row.raw_digest for row in alike)

    def _unused(self, rows: Iterable[Message]) -> list[Message]:
        return [row for row in rows if row.pk not in self._used]

    def _use(self, row: Message) -> Message:
        self._used.add(row.pk)
        return row


def place_envelopes(account_id: UUID, folder_id: int, envelopes: Sequence[Envelope]) -> Placing:
    """Store the placements of these messages, and those that are new. One transaction's work."""
    stored = FolderEntry.objects.filter(
        folder_id=folder_id, uid__among=[envelope.uid for envelope in envelopes]
    )
    present = set(stored.values_list("uid", flat=True))
    known = _Known(account_id, folder_id, envelopes)
    placing = Placing()
    fresh: list[Envelope] = []
    entries: list[Placement] = []
    for envelope in envelopes:
        if envelope.uid in present:
            continue
        message, is_uncertain = known.match(envelope)
        if is_uncertain:
            placing.uncertain.append(envelope.uid)
        elif message is None:
            fresh.append(envelope)
        else:
            placing.attached.append(message)
            if message.pk in known.stale:
                _renew_entry(folder_id, message, envelope)
            else:
                lacks_body = message.body_state == BodyState.PENDING
                entries.append(
                    Placement(
                        envelope.uid, message.pk, message.received_at, lacks_body, envelope.flags
                    )
                )
    found_again = [row for row in placing.attached if row.orphaned_at is not None]
    if found_again:
        Message.objects.filter(pk__in=[row.pk for row in found_again]).update(orphaned_at=None)
    touched = _create(account_id, fresh, placing, entries)
    write_placements(account_id, folder_id, entries)
    refresh_threads({row.thread_id for row in found_again} | touched)
    return placing


def _create(
    account_id: UUID, envelopes: Sequence[Envelope], placing: Placing, entries: list[Placement]
) -> frozenset[int]:
    """Store new messages; the ids of older conversations that they became part of."""
    if not envelopes:
        return frozenset()
    joined = join_threads(
        account_id,
        [Newcomer(envelope.letter.thread_keys, envelope.received_at) for envelope in envelopes],
    )
    ids = take_ids(Message, len(envelopes))
    write_messages(
        account_id,
        [
            NewMessage(pk, thread_id, envelope)
            for pk, thread_id, envelope in zip(ids, joined.thread_ids, envelopes, strict=True)
        ],
    )
    for pk, envelope in zip(ids, envelopes, strict=True):
        placing.created.append(pk)
        lacks_body = envelope.letter.body is None
        if not lacks_body:
            placing.complete.append(pk)
        entries.append(
            Placement(envelope.uid, pk, envelope.received_at, lacks_body, envelope.flags)
        )
    placing.rethreaded = list(joined.moved)
    return joined.known


def flag_values(flags: Flags) -> dict[str, object]:
    """The columns of a placement that hold its flags."""
    return {
        "is_seen": flags.is_seen,
        "is_flagged": flags.is_flagged,
        "is_answered": flags.is_answered,
        "is_draft": flags.is_draft,
        "keywords": list(flags.keywords),
    }


def _renew_entry(folder_id: int, message: Message, envelope: Envelope) -> None:
    FolderEntry.objects.filter(folder_id=folder_id, message=message).update(
        uid=envelope.uid, **flag_values(envelope.flags)
    )

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
from mailboxes.sync.envelopes import LONGEST_ID, Envelope, people, words
from mailboxes.sync.plan import Flags
from mailboxes.threads import join_threads, refresh_threads


@dataclass(slots=True)
class Placing:
    """What became of a batch. `uncertain`: UIDs of which the whole message is needed.

    `rethreaded` are ids of messages whose conversation became part of another.
    """

    created: list[tuple[Message, Envelope]] = field(default_factory=list)
    attached: list[Message] = field(default_factory=list)
    uncertain: list[int] = field(default_factory=list)
    rethreaded: list[int] = field(default_factory=list)

    def add(self, other: Placing) -> None:
        """Count another batch in."""
        self.created += other.created
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
        headers = {envelope.header_digest for envelope in envelopes}
        contents = {envelope.body.raw_digest for envelope in envelopes if envelope.body}
        found = {row.pk: row for row in rows.filter(header_digest__in=headers)}
        if contents:
            found.update({row.pk: row for row in rows.filter(raw_digest__in=contents)})
        here = FolderEntry.objects.filter(folder_id=folder_id, message_id__in=list(found))
        uids = dict(here.values_list("message_id", "uid"))
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
        if envelope.body is not None:
            same = self._unused(self._by_content[envelope.body.raw_digest])
            return (self._use(same[0]), False) if same else (None, False)
        alike = [
            row
            for row in self._unused(self._by_header[envelope.header_digest])
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
        folder_id=folder_id, uid__in=[envelope.uid for envelope in envelopes]
    )
    present = set(stored.values_list("uid", flat=True))
    known = _Known(account_id, folder_id, envelopes)
    placing, entries = Placing(), []
    for envelope in envelopes:
        if envelope.uid in present:
            continue
        message, is_uncertain = known.match(envelope)
        if is_uncertain:
            placing.uncertain.append(envelope.uid)
        elif message is None:
            placing.created.append((_new_message(account_id, envelope), envelope))
        else:
            placing.attached.append(message)
            if message.pk in known.stale:
                _renew_entry(folder_id, message, envelope)
            else:
                entries.append(_entry(folder_id, message, envelope))
    created = [message for message, _ in placing.created]
    placing.rethreaded = join_threads(account_id, created)
    Message.objects.bulk_create(created)
    entries += [_entry(folder_id, message, envelope) for message, envelope in placing.created]
    FolderEntry.objects.bulk_create(entries)
    found_again = [row for row in placing.attached if row.orphaned_at is not None]
    Message.objects.filter(pk__in=[row.pk for row in found_again]).update(orphaned_at=None)
    refresh_threads(row.thread_id for row in created + found_again)
    return placing


def flag_values(flags: Flags) -> dict[str, object]:
    """The columns of a placement that hold its flags."""
    return {
        "is_seen": flags.is_seen,
        "is_flagged": flags.is_flagged,
        "is_answered": flags.is_answered,
        "is_draft": flags.is_draft,
        "keywords": list(flags.keywords),
    }


def _entry(folder_id: int, message: Message, envelope: Envelope) -> FolderEntry:
    return FolderEntry(
        folder_id=folder_id,
        account_id=message.account_id,
        message=message,
        uid=envelope.uid,
        received_at=message.received_at,
        lacks_body=message.body_state == BodyState.PENDING,
        **flag_values(envelope.flags),
    )


def _renew_entry(folder_id: int, message: Message, envelope: Envelope) -> None:
    FolderEntry.objects.filter(folder_id=folder_id, message=message).update(
        uid=envelope.uid, **flag_values(envelope.flags)
    )


def _new_message(account_id: UUID, envelope: Envelope) -> Message:
    headers, body = envelope.headers, envelope.body
    sender = people(headers.sender[:1])
    return Message(
        account_id=account_id,
        message_id=headers.message_id[:LONGEST_ID],
        in_reply_to=headers.in_reply_to[:LONGEST_ID],
        references=list(headers.references),
        subject=headers.subject,
        sender=sender[0] if sender else {},
        to=people(headers.to),
        cc=people(headers.cc),
        bcc=people(headers.bcc),
        reply_to=people(headers.reply_to),
        sender_text=words(headers.sender),
        recipient_text=words(headers.to, headers.cc, headers.bcc),
        date=headers.date,
        received_at=envelope.received_at,
        size=envelope.size,
        header_digest=envelope.header_digest,
        raw_digest=body.raw_digest if body else "",
        snippet=body.snippet if body else "",
        text=body.text if body else "",
        has_attachments=body.has_attachments if body else False,
        body_state=BodyState.STORED if body else BodyState.PENDING,
    )

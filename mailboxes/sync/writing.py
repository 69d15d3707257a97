"""New messages as rows: the messages, their attachments, where they lie.

Part of a transaction that the caller has begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from mailboxes.models import Attachment, BodyState, FolderEntry, Message, SuspectedReport
from mailboxes.rows import insert_rows
from mailboxes.search.filling import Indexed, index_messages
from mailboxes.sync.envelopes import Envelope
from mailboxes.sync.letters import LONGEST_ID, Body
from mailboxes.sync.plan import Flags

LONGEST_FILENAME = 255
LONGEST_TYPE = 255

_MESSAGE = (
    "id",
    "account_id",
    "thread_id",
    "message_id",
    "in_reply_to",
    "references",
    "subject",
    "sender",
    "to",
    "cc",
    "bcc",
    "reply_to",
    "sender_text",
    "recipient_text",
    "date",
    "received_at",
    "size",
    "has_attachments",
    "header_digest",
    "raw_digest",
    "body_state",
    "created_at",
    "snippet",
    "text",
)
_ENTRY = (
    "folder_id",
    "account_id",
    "message_id",
    "uid",
    "received_at",
    "is_seen",
    "is_flagged",
    "is_answered",
    "is_draft",
    "keywords",
    "lacks_body",
)
_ATTACHMENT = (
    "message_id",
    "index",
    "filename",
    "content_type",
    "size",
    "content_id",
    "is_inline",
)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message with the id that it will have, and its conversation."""

    id: int
    thread_id: int
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Placement:
    """A message in a folder."""

    uid: int
    message_id: int
    received_at: datetime
    lacks_body: bool
    flags: Flags


def write_messages(account_id: UUID, messages: Sequence[NewMessage]) -> None:
    """The messages, and what is attached to, or suspected of, those whose bodies are there."""
    now = timezone.now()
    index_messages(
        account_id,
        (
            Indexed(message.id, message.envelope.received_at, vectors)
            for message in messages
            if (vectors := message.envelope.letter.vectors) is not None
        ),
    )
    insert_rows(Message, _MESSAGE, (_message_row(account_id, now, message) for message in messages))
    bodies = [
        (message.id, body)
        for message in messages
        if (body := message.envelope.letter.body) is not None
    ]
    write_attachments(bodies)
    write_suspects(bodies)


def write_attachments(bodies: Iterable[tuple[int, Body]]) -> None:
    """What is attached to these messages (by id)."""
    insert_rows(
        Attachment,
        _ATTACHMENT,
        [
            (
                pk,
                attachment.index,
                attachment.filename[:LONGEST_FILENAME],
                attachment.content_type[:LONGEST_TYPE],
                attachment.size,
                attachment.content_id[:LONGEST_ID],
                attachment.inline,
            )
            for pk, body in bodies
            for attachment in body.attachments
        ],
    )


def write_suspects(bodies: Iterable[tuple[int, Body]]) -> None:
    """Which of these messages (by id) are to be read as reports."""
    now = timezone.now()
    suspects = [
        SuspectedReport(message_id=pk, due_at=now) for pk, body in bodies if body.may_be_report
    ]
    if suspects:
        SuspectedReport.objects.bulk_create(suspects, ignore_conflicts=True)


def write_placements(account_id: UUID, folder_id: int, placements: Sequence[Placement]) -> None:
    """These messages lie in the folder."""
    insert_rows(
        FolderEntry,
        _ENTRY,
        [
            (
                folder_id,
                account_id,
                placement.message_id,
                placement.uid,
                placement.received_at,
                placement.flags.is_seen,
                placement.flags.is_flagged,
                placement.flags.is_answered,
                placement.flags.is_draft,
                placement.flags.keywords,
                placement.lacks_body,
            )
            for placement in placements
        ],
    )


def _message_row(account_id: UUID, now: datetime, message: NewMessage) -> tuple[object, ...]:
    envelope, letter, body = message.envelope, message.envelope.letter, message.envelope.letter.body
    return (
        message.id,
        account_id,
        message.thread_id,
        letter.message_id,
        letter.in_reply_to,
        letter.references,
        letter.subject,
        letter.sender,
        letter.to,
        letter.cc,
        letter.bcc,
        letter.reply_to,
        letter.sender_text,
        letter.recipient_text,
        letter.date,
        envelope.received_at,
        envelope.size,
        body.has_attachments if body else False,
        letter.header_digest,
        body.raw_digest if body else "",
        (BodyState.STORED if body else BodyState.PENDING).value,
        now,
        body.snippet if body else "",
        body.text if body else "",
    )

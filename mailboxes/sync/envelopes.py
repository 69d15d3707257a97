"""Octets from a mail server → values to store. Pure, and raises for nothing it reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from mailboxes.raw_store import digest_of
from mailboxes.sync.plan import Flags
from mailhub.mail.parsing import (
    Mailbox,
    ParsedAttachment,
    ParsedHeaders,
    ParsedMessage,
    parse_body,
    parse_headers,
    parse_message,
)
from mailhub.mail.stores.base import RemoteMessage

# What is kept for lists and search; a reader gets the whole text from the raw message.
LONGEST_TEXT = 256 * 1024
LONGEST_ID = 998

Person = dict[str, str]


@dataclass(frozen=True, slots=True)
class Body:
    """What the whole message adds to its header."""

    raw_digest: str
    snippet: str
    text: str
    attachments: tuple[ParsedAttachment, ...]

    @property
    def has_attachments(self) -> bool:
        """Whether there is something to save besides the images shown in the text."""
        return any(not attachment.inline for attachment in self.attachments)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message in a folder, by its header; `body` where all of it was fetched."""

    uid: int
    flags: Flags
    received_at: datetime
    size: int
    headers: ParsedHeaders
    header_digest: str
    body: Body | None = None

    @property
    def identifies_itself(self) -> bool:
        """Whether header, size and arrival tell it from every other message."""
        return bool(self.headers.message_id)


def read_envelope(message: RemoteMessage) -> Envelope:
    """From a message of which the header was fetched."""
    return _envelope(message, parse_headers(message.content), None)


def read_message(message: RemoteMessage) -> Envelope:
    """From a message of which all was fetched."""
    parsed = parse_message(message.content)
    return _envelope(message, parsed, _body(digest_of(message.content), parsed))


def read_body(content: bytes, raw_digest: str) -> Body:
    """From a whole message of which the header is stored already."""
    return _body(raw_digest, parse_body(content))


def header_digest(content: bytes) -> str:
    """128 bits of the SHA-256 of the header, the same for a header and a whole message."""
    end = content.find(b"\r\n\r\n")
    header = content if end < 0 else content[:end]
    return hashlib.sha256(header.rstrip(b"\r\n")).hexdigest()[:32]


def people(mailboxes: tuple[Mailbox, ...]) -> list[Person]:
    """As they stand in the database and in the API."""
    return [{"name": person.name, "address": person.address} for person in mailboxes]


def words(*groups: tuple[Mailbox, ...]) -> str:
    """Names and addresses as text to search."""
    return " ".join(f"{person.name} {person.address}" for group in groups for person in group)


def _body(raw_digest: str, parsed: ParsedMessage) -> Body:
    return Body(
        raw_digest=raw_digest,
        snippet=parsed.snippet,
        text=parsed.text[:LONGEST_TEXT],
        attachments=parsed.attachments,
    )


def _envelope(message: RemoteMessage, headers: ParsedHeaders, body: Body | None) -> Envelope:
    return Envelope(
        uid=message.uid,
        flags=Flags.read(message.flags),
        received_at=message.received_at.astimezone(UTC),
        size=max(0, message.size),
        headers=headers,
        header_digest=header_digest(message.content),
        body=body,
    )

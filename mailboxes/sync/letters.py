"""The octets of a message → what of it is stored, as the columns hold it.

Pure, raises for nothing that it reads, and knows no Django: see `reading_apart`.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import NamedTuple

from mailboxes.search.vectors import Vectors, vectors_of
from mailhub.mail.bounce import may_be_report
from mailhub.mail.octets import Beginning
from mailhub.mail.parsing import (
    Mailbox,
    ParsedAttachment,
    ParsedHeaders,
    ParsedMessage,
    parse_body,
    parse_headers,
    parse_message,
)
from mailhub.mail.threading import thread_keys

# What is kept for lists and search; a reader gets the whole text from the raw message.
LONGEST_TEXT = 256 * 1024
LONGEST_ID = 998

_ENCODER = json.JSONEncoder()


class Body(NamedTuple):
    """What the whole message adds to its header."""

    raw_digest: str
    snippet: str
    text: str
    attachments: tuple[ParsedAttachment, ...]
    may_be_report: bool

    @property
    def has_attachments(self) -> bool:
        """Whether there is something to save besides the images shown in the text."""
        return any(not attachment.inline for attachment in self.attachments)


class Letter(NamedTuple):
    """A message by its header; `body` where all of it was read.

    `references` and the people from `sender` to `reply_to` are JSON. `thread_keys` tie it to
    other messages of its account. `vectors` are there where they were asked for, and need not
    be left to the database.
    """

    header_digest: str
    message_id: str
    in_reply_to: str
    references: str
    subject: str
    sender: str
    to: str
    cc: str
    bcc: str
    reply_to: str
    sender_text: str
    recipient_text: str
    date: datetime | None
    thread_keys: frozenset[int]
    body: Body | None
    vectors: Vectors | None = None


def read_header(content: bytes, salt: bytes) -> Letter:
    """From the header of a message of the account that `salt` stands for."""
    return _letter(content, parse_headers(content, complete=False), salt, None)


def read_letter(content: bytes, salt: bytes) -> Letter:
    """From a whole message of the account that `salt` stands for, or the beginning of one."""
    parsed = parse_message(content, complete=False)
    return _letter(content, parsed, salt, _body(content, digest_of(content), parsed))


def with_vectors(letter: Letter) -> Letter:
    """The letter, and its words as PostgreSQL's index holds them."""
    text = letter.body.text if letter.body else ""
    vectors = vectors_of(letter.subject, letter.sender_text, letter.recipient_text, text)
    return letter._replace(vectors=vectors)


def read_body(content: bytes, raw_digest: str) -> Body:
    """From a whole message of which the header is stored already."""
    return _body(content, raw_digest, parse_body(content))


def digest_of(content: bytes) -> str:
    """The name of a raw message: the SHA-256 of all of it in hexadecimal digits."""
    if isinstance(content, Beginning):
        return content.whole.digest()
    return hashlib.sha256(content).hexdigest()


def header_digest(content: bytes) -> str:
    """128 bits of the SHA-256 of the header, the same for a header and a whole message."""
    end = content.find(b"\r\n\r\n")
    header = content if end < 0 else content[:end]
    return hashlib.sha256(header.rstrip(b"\r\n")).hexdigest()[:32]


def _body(content: bytes, raw_digest: str, parsed: ParsedMessage) -> Body:
    return Body(
        raw_digest=raw_digest,
        snippet=parsed.snippet,
        text=parsed.text[:LONGEST_TEXT],
        attachments=parsed.attachments,
        may_be_report=may_be_report(content),
    )


def _letter(content: bytes, headers: ParsedHeaders, salt: bytes, body: Body | None) -> Letter:
    ids = (headers.message_id, headers.in_reply_to, *headers.references)
    return Letter(
        header_digest=header_digest(content),
        message_id=headers.message_id[:LONGEST_ID],
        in_reply_to=headers.in_reply_to[:LONGEST_ID],
        references=_encoded(headers.references),
        subject=headers.subject,
        sender=_ENCODER.encode(_person(headers.sender[0])) if headers.sender else "{}",
        to=_people(headers.to),
        cc=_people(headers.cc),
        bcc=_people(headers.bcc),
        reply_to=_people(headers.reply_to),
        sender_text=_words(headers.sender),
        recipient_text=_words(headers.to, headers.cc, headers.bcc),
        date=headers.date,
        thread_keys=thread_keys(headers.subject, ids, salt=salt),
        body=body,
    )


def _people(mailboxes: tuple[Mailbox, ...]) -> str:
    return _encoded(tuple(_person(person) for person in mailboxes))


def _person(mailbox: Mailbox) -> dict[str, str]:
    """As people stand in the database and in the API."""
    return {"name": mailbox.name, "address": mailbox.address}


def _words(*groups: tuple[Mailbox, ...]) -> str:
    """Names and addresses as text to search."""
    return " ".join(f"{person.name} {person.address}" for group in groups for person in group)


def _encoded(values: tuple[object, ...]) -> str:
    return _ENCODER.encode(values) if values else "[]"

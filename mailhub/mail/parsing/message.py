"""What a message says, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from mailhub.mail.parsing.body import Attached, Body, read_body
from mailhub.mail.parsing.charsets import clean_text
from mailhub.mail.parsing.filenames import safe_filename
from mailhub.mail.parsing.header_block import decode_fields, decode_words, split_message
from mailhub.mail.parsing.html_text import snippet_of
from mailhub.mail.parsing.part_tree import Part, leaves, part_from, read_tree
from mailhub.mail.parsing.structured_fields import (
    Mailbox,
    read_date,
    read_mailboxes,
    read_message_ids,
)


@dataclass(frozen=True, slots=True)
class ParsedAttachment:
    """One attachment without its octets. `index` counts from 0 and names it for good.

    `filename` is safe to save under; `content_id` is without its angle brackets; `size`
    is in decoded octets. TNEF (winmail.dat) has the type application/ms-tnef whatever
    the sender called it.
    """

    index: int
    filename: str
    content_type: str
    size: int
    content_id: str = ""
    inline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedHeaders:
    """What the header alone tells.

    `date` is aware and in UTC, or None; ids are without angle brackets; `headers` are all
    fields in order, decoded for a person, names as the sender wrote them.
    """

    subject: str = ""
    sender: tuple[Mailbox, ...] = ()
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    date: datetime | None = None
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    headers: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str:
        """The first field of that name, whatever its case, or ""."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMessage(ParsedHeaders):
    """A whole message.

    `text` is the plain text, derived from the HTML where the message has no other; `html`
    is as the sender wrote it: sanitise it before it is shown. `snippet` is the first 200
    characters on one line.
    """

    text: str = ""
    html: str = ""
    snippet: str = ""
    attachments: tuple[ParsedAttachment, ...] = ()


def parse_headers(content: bytes, *, complete: bool = True) -> ParsedHeaders:
    """Read the header of a message; what follows it is not looked at.

    `headers` stays empty where it need not be `complete`.
    """
    fields, _ = split_message(content)
    return ParsedHeaders(**_header_values(fields, complete=complete))


def parse_message(content: bytes, *, complete: bool = True) -> ParsedMessage:
    """Read a whole message. Never raises for what the octets hold.

    `headers` and `html` stay empty where it need not be `complete`: a list and a search do
    without them.
    """
    fields, body_octets = split_message(content)
    return _message_of(fields, read_tree(fields, body_octets), complete=complete)[0]


def parse_body(content: bytes) -> ParsedMessage:
    """What a whole message adds to what `parse_headers` tells a list, whose fields stay empty."""
    fields, body_octets = split_message(content)
    return _message_of([], read_tree(fields, body_octets), complete=False)[0]


def open_message(content: bytes) -> tuple[ParsedMessage, tuple[bytes, ...]]:
    """A whole message and the octets of its attachments in their order."""
    fields, body_octets = split_message(content)
    return _message_of(fields, read_tree(fields, body_octets))


def message_of_parts(header: bytes, tree: Part) -> ParsedMessage:
    """A message whose parts were fetched one by one.

    Attachments whose content is empty have the size that the server told.
    """
    return _message_of(split_message(header)[0], tree)[0]


def message_of_tree(
    fields: list[tuple[str, bytes]], tree: Part, *, complete: bool
) -> ParsedMessage:
    """A message from its header's fields and its parts."""
    return _message_of(fields, tree, complete=complete)[0]


def _message_of(
    fields: list[tuple[str, bytes]], tree: Part, *, complete: bool = True
) -> tuple[ParsedMessage, tuple[bytes, ...]]:
    body = read_body(tree, with_html=complete)
    message = ParsedMessage(
        **_header_values(fields, tree, complete=complete),
        text=body.text,
        html=body.html,
        snippet=snippet_of(body.text),
        attachments=describe_attachments(body),
    )
    return message, tuple(attached.content for attached in body.attached)


def embedded_images(content: bytes) -> dict[str, tuple[str, bytes]]:
    """Content-ID → (content type, octets) of the images that the message brings along."""
    fields, body_octets = split_message(content)
    return embedded_in(read_body(read_tree(fields, body_octets)).attached)


def embedded_in(attached: Iterable[Attached]) -> dict[str, tuple[str, bytes]]:
    """The same among these attachments."""
    return {
        clean_text(part.content_id): (part.content_type, part.content)
        for part in attached
        if part.content_id and part.content_type.startswith("image/")
    }


# The fields that are read into something of their own.
_LISTED = frozenset(
    {
        "subject",
        "from",
        "sender",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "date",
        "message-id",
        "in-reply-to",
        "references",
    }
)


class _HeaderValues(TypedDict):
    subject: str
    sender: tuple[Mailbox, ...]
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    bcc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    date: datetime | None
    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    headers: list[tuple[str, str]]


def _header_values(
    told: list[tuple[str, bytes]], tree: Part | None = None, *, complete: bool
) -> _HeaderValues:
    """Raw octets that are not UTF-8 are in the charset of the text, as `tree` tells it."""
    raw = told if complete else [pair for pair in told if pair[0].lower() in _LISTED]
    guess = None
    if not all(value.isascii() for _, value in raw):
        guess = _first_charset(tree or part_from(told, "text/plain")[0])
    fields = decode_fields(raw, guess)
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)

    def first(name: str) -> str:
        return values[name][0] if name in values else ""

    def mailboxes(name: str) -> tuple[Mailbox, ...]:
        # A field that should come once but often comes twice counts with all it holds.
        return tuple(each for value in values.get(name, ()) for each in read_mailboxes(value))

    return {
        "subject": decode_words(first("subject")),
        "sender": read_mailboxes(first("from") or first("sender")),
        "to": mailboxes("to"),
        "cc": mailboxes("cc"),
        "bcc": mailboxes("bcc"),
        "reply_to": mailboxes("reply-to"),
        "date": read_date(first("date")),
        "message_id": next(iter(read_message_ids(first("message-id"))), ""),
        "in_reply_to": next(iter(read_message_ids(first("in-reply-to"))), ""),
        "references": read_message_ids(first("references")),
        "headers": [(name, decode_words(value)) for name, value in fields] if complete else [],
    }


def _first_charset(tree: Part) -> str | None:
    for part, _ in leaves(tree):
        if part.content_type.startswith("text/") and part.parameters.get("charset"):
            return part.parameters["charset"]
    return None


def describe_attachments(body: Body) -> tuple[ParsedAttachment, ...]:
    """What is attached, without its octets."""
    return tuple(
        ParsedAttachment(
            index=index,
            filename=safe_filename(attached.name, index, attached.content_type),
            content_type=attached.content_type,
            size=attached.size,
            content_id=clean_text(attached.content_id),
            inline=attached.inline,
        )
        for index, attached in enumerate(body.attached)
    )

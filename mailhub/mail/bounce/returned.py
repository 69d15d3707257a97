"""What a report brings back of the message: its header, or all of it."""

from __future__ import annotations

import re

from mailhub.mail.bounce.head import addresses_in
from mailhub.mail.bounce.report import Returned
from mailhub.mail.parsing.header_block import decode_fields, decode_words, split_message
from mailhub.mail.parsing.part_tree import Part, leaves
from mailhub.mail.parsing.structured_fields import read_mailboxes, read_message_ids

# RFC 6522 section 3, RFC 6533 section 4, and as some write them.
_TYPES = frozenset(
    {
        "message/rfc822",
        "message/global",
        "text/rfc822-headers",
        "text/rfc822-header",
        "message/rfc822-headers",
        "message/global-headers",
    }
)
_MOST_FIELDS = 300
_MOST_RECIPIENTS = 50
_LONGEST_HEADER = 64 * 1024
_LONGEST_VALUE = 2_000
_FIRST_FIELD = re.compile(
    r"^[ \t>]{0,8}(?:Return-Path|Received|Message-ID|DKIM-Signature|From|Date|To|Subject|"
    r"MIME-Version|X-[A-Za-z-]{1,40}) ?: ?\S",
    re.MULTILINE | re.IGNORECASE,
)


def returned_part(root: Part) -> Returned | None:
    """The message that came back as a part of the report, or None."""
    for part, _ in leaves(root):
        if part.content_type in _TYPES and part.content.strip():
            return read_returned(part.content)
    return None


def returned_in_prose(text: str) -> Returned:
    """The same of one that stands behind the words of a report."""
    start = _FIRST_FIELD.search(text)
    if start is None:
        return Returned()
    header = text[start.start() : start.start() + _LONGEST_HEADER].lstrip("> \t")
    return read_returned(header.encode("utf-8", "replace"))


def read_returned(content: bytes) -> Returned:
    """From the octets of a message or of its header."""
    # Some put blank lines, or a line of words, before the header.
    fields, _ = split_message(content[:_LONGEST_HEADER].lstrip(b" \t\r\n"))
    decoded = decode_fields(fields[:_MOST_FIELDS])
    headers = tuple((name, decode_words(value[:_LONGEST_VALUE])) for name, value in decoded)
    first: dict[str, str] = {}
    for name, value in headers:
        first.setdefault(name.lower(), value)
    to = tuple(person.address for person in read_mailboxes(first.get("to", "")) if person.address)
    return Returned(
        message_id=next(iter(read_message_ids(first.get("message-id", ""))), ""),
        return_path=next(iter(addresses_in(first.get("return-path", ""))), ""),
        to=to[:_MOST_RECIPIENTS],
        list_id=first.get("list-id", ""),
        subject=first.get("subject", ""),
        headers=headers,
    )

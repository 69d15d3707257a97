"""Header fields that have a grammar: addresses, dates, message ids, parameters.

Each reader is linear, uses no recursion (nested comments are an old trick) and gives
what it can find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from urllib.parse import unquote_to_bytes

from mailhub.mail.parsing.charsets import decode_text
from mailhub.mail.parsing.header_block import decode_words

_MESSAGE_ID = re.compile(r"<([^<>]{1,996})>")
_BARE_ID = re.compile(r"[^\s<>,;\"()]+@[^\s<>,;\"()]+")
_WHITESPACE = re.compile(r"\s+")
_CONTENT_TYPE = re.compile(r"\s*([\w!#$&^.+-]{1,127})/([\w!#$&^.+-]{1,127})")
_PARAMETER_NAME = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?$")
_DATE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One person in an address field; either half may be empty in a broken one."""

    name: str
    address: str


def read_mailboxes(value: str) -> tuple[Mailbox, ...]:
    """The mailboxes of an address field (RFC 5322 section 3.4), groups flattened."""
    found: list[Mailbox] = []
    for piece in _split_addresses(value):
        mailbox = _read_mailbox(piece)
        if found and not found[-1].address and piece.has_angle and mailbox.name:
            # `Doe, Jane <jane@example.org>`: a comma that should have been quoted.
            mailbox = Mailbox(f"{found.pop().name}, {mailbox.name}", mailbox.address)
        if mailbox.address or mailbox.name:
            found.append(mailbox)
    return tuple(found)


def read_date(value: str) -> datetime | None:
    """An aware time in UTC, or None for one that cannot be read."""
    try:
        parts = parsedate_tz(value[:_DATE_LENGTH])
        if parts is None:
            return None
        moment = datetime(*parts[:5], min(parts[5], 59), tzinfo=UTC)
        return moment - timedelta(seconds=parts[9] or 0)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def read_message_ids(value: str) -> tuple[str, ...]:
    """Message ids without their angle brackets, in order, each once."""
    found = [_WHITESPACE.sub("", match) for match in _MESSAGE_ID.findall(value)]
    if not found:
        found = _BARE_ID.findall(value)
    return tuple(dict.fromkeys(identifier for identifier in found if identifier))


def read_content_type(value: str) -> tuple[str, dict[str, str]]:
    """`type/subtype` in lower case ("" where there is none) and the parameters."""
    match = _CONTENT_TYPE.match(value)
    kind = f"{match[1]}/{match[2]}".lower() if match else ""
    return kind, read_parameters(value)


def read_parameters(value: str) -> dict[str, str]:
    """Parameters after the first `;`, by lower-case name (RFC 2231, and 2047 as seen in use)."""
    plain: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for name, text in _split_parameters(value):
        match = _PARAMETER_NAME.match(name)
        if match is None or (match[2] is None and match[3] is None):
            plain.setdefault(name, decode_words(text))
        else:
            pieces.setdefault(match[1], []).append((int(match[2] or 0), bool(match[3]), text))
    for name, parts in pieces.items():
        plain[name] = _join_pieces(sorted(parts, key=lambda part: part[0]))
    return plain


def _join_pieces(parts: list[tuple[int, bool, str]]) -> str:
    charset = ""
    _, encoded, start = parts[0]
    if encoded and start.count("'") >= 2:
        charset, _, start = start.split("'", 2)
    parts = [(0, encoded, start), *parts[1:]]
    octets = [
        unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace")
        for _, encoded, text in parts
    ]
    return decode_words(decode_text(b"".join(octets), charset or None))


def _split_parameters(value: str) -> Iterator[tuple[str, str]]:
    for piece in _split_outside_quotes(value, ";")[1:]:
        name, equals, text = piece.partition("=")
        text = text.strip()
        if text.startswith('"'):
            text = _unquote(text)
        if equals and name.strip():
            yield name.strip().lower(), text


def _split_outside_quotes(value: str, separator: str) -> list[str]:
    pieces, start, quoted, position = [], 0, False, 0
    while position < len(value):
        character = value[position]
        if character == "\\" and quoted:
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            pieces.append(value[start:position])
            start = position + 1
        position += 1
    pieces.append(value[start:])
    return pieces


def _unquote(text: str) -> str:
    """The inside of a quoted string at the start of the text."""
    characters, position = [], 1
    while position < len(text) and text[position] != '"':
        # A backslash before an ordinary letter is a Windows path, not an escape.
        if text[position] == "\\" and text[position + 1 : position + 2] in {"\\", '"'}:
            position += 1
        characters.append(text[position])
        position += 1
    return "".join(characters)


@dataclass(slots=True)
class _Piece:
    """One address while it is read: words outside, inside <> and inside ()."""

    words: list[str]
    angle: list[str]
    comments: list[str]
    has_angle: bool = False


def _split_addresses(value: str) -> Iterator[_Piece]:  # noqa: PLR0912 - one state machine
    piece, depth, position = _Piece([], [], []), 0, 0
    quoted = in_angle = False
    while position < len(value):
        character = value[position]
        target = piece.comments if depth else piece.angle if in_angle else piece.words
        if character == "\\" and (quoted or depth):
            position += 1
            target.append(value[position : position + 1])
        elif quoted:
            quoted = character != '"'
            if quoted or in_angle:
                target.append(character)
        elif character == "(" and not in_angle:
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif depth:
            target.append(character)
        elif character == '"':
            quoted = True
            if in_angle:
                target.append(character)
        elif character == "<":
            in_angle = piece.has_angle = True
            piece.angle.clear()
        elif character == ">" and in_angle:
            in_angle = False
        elif character in ",;" and (not in_angle or _has_address(piece.angle)):
            yield piece
            piece, in_angle = _Piece([], [], []), False
        elif character == ":" and not in_angle and "@" not in piece.words:
            piece = _Piece([], [], [])
        else:
            target.append(character)
        position += 1
    yield piece


def _has_address(angle: list[str]) -> bool:
    """Whether an angle that was never closed holds an address; `<@a,@b:c@d>` is a route."""
    return "@" in angle and angle[0] != "@"


def _read_mailbox(piece: _Piece) -> Mailbox:
    outside = "".join(piece.words).strip()
    comment = decode_words("".join(piece.comments))
    if piece.has_angle:
        address = "".join(piece.angle)
        if address.startswith("@") and ":" in address:
            address = address.partition(":")[2]
        return Mailbox(decode_words(outside).strip("'\" ") or comment, _tidy(address))
    if "@" in outside:
        return Mailbox(comment, _tidy(outside))
    return Mailbox(decode_words(outside) or comment, "")


def _tidy(address: str) -> str:
    return _WHITESPACE.sub("", decode_words(address))

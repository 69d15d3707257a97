"""Header fields that have a grammar: addresses, dates, message ids, parameters.

Each reader is linear, uses no recursion that a message could deepen (nested comments are an
old trick) and gives what it can find.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from urllib.parse import unquote_to_bytes

from mailhub.mail.parsing.charsets import decode_text
from mailhub.mail.parsing.header_block import decode_words, has_no_controls

_MESSAGE_ID = re.compile(r"<([^<>]{1,996})>")
# The look behind keeps a long run without an `@` from being tried from each of its places.
_BARE_ID = re.compile(r"(?<![^\s<>,;\"()])[^\s<>,;\"()]+@[^\s<>,;\"()]+")
_WHITESPACE = re.compile(r"\s+")
# One mailbox as nearly all are written: `Ada <a@b>`, `"Lee, Ada" <a@b>`, `<a@b>` or `a@b`.
_PLAIN_ADDRESS = r"""([^\s"\\()<>,;:@]++@[^\s"\\()<>,;:@]++)"""
_ORDINARY_MAILBOX = re.compile(
    r"""[ \t]*+(?:(?:"([^"\\]*+)"[ \t]*+|([^"\\()<>,;:]*+))<"""
    rf"""{_PLAIN_ADDRESS}>|{_PLAIN_ADDRESS})[ \t]*+(?:,|\Z)"""
)
_ORDINARY_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?([0-3]?[0-9]) ([A-Z][a-z]{2}) ([12][0-9]{3})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:GMT|([+-])([0-9]{2})([0-9]{2}))(?: \([A-Z]{1,5}\))?"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name: number for number, name in enumerate(_MONTHS, 1)}
_ORDINARY_PARAMETER = re.compile(
    r"""[ \t]*([A-Za-z-]+)=(?:"([^"\\]*)"|([^\s"\\;]*))[ \t]*(?:;|\Z)"""
)
_CONTENT_TYPE = re.compile(r"\s*([\w!#$&^.+-]{1,127})/([\w!#$&^.+-]{1,127})", re.ASCII)
_PARAMETER_NAME = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?$")
_DATE_LENGTH = 200
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:")
_SPACE_BEFORE_ZONE = re.compile(r"\s+(?=[+-])")
_YEARS_SINCE_1900 = range(100, 200)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One person in an address field; either half may be empty in a broken one."""

    name: str
    address: str


def read_mailboxes(value: str) -> tuple[Mailbox, ...]:
    """The mailboxes of an address field (RFC 5322 section 3.4), groups flattened."""
    if not value:
        return ()
    found = _read_ordinary_mailboxes(value)
    return read_mailboxes_carefully(value) if found is None else found


def _read_ordinary_mailboxes(value: str) -> tuple[Mailbox, ...] | None:
    if "=?" in value or not has_no_controls(value):
        return None
    found: list[Mailbox] = []
    position = 0
    while position < len(value):
        match = _ORDINARY_MAILBOX.match(value, position)
        if match is None:
            return None
        quoted, words, angle, bare = match.groups()
        name = (quoted or words or "").strip().strip("'\" ")
        found.append(Mailbox(name, angle or bare))
        position = match.end()
    return tuple(found)


def read_mailboxes_carefully(value: str) -> tuple[Mailbox, ...]:
    """What `read_mailboxes` does with anything that is not written as most are."""
    found: list[Mailbox] = []
    for piece in _AddressList(value).pieces():
        mailbox = _read_mailbox(piece)
        if found and not found[-1].address and piece.has_angle and mailbox.name:
            # `Doe, Jane <jane@example.org>`: a comma that should have been quoted.
            mailbox = Mailbox(f"{found.pop().name}, {mailbox.name}", mailbox.address)
        if mailbox.address or mailbox.name:
            found.append(mailbox)
    return tuple(found)


def read_date(value: str) -> datetime | None:
    """An aware time in UTC, or None for one that cannot be read."""
    match = _ORDINARY_DATE.fullmatch(value)
    if match is None or match[2] not in _MONTH_NUMBERS:
        return read_date_carefully(value)
    day, month, year, hour, minute, second, sign, hours, minutes = match.groups()
    try:
        moment = datetime(
            int(year),
            _MONTH_NUMBERS[month],
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),
            0,
            UTC,
        )
    except ValueError:
        return None
    offset = int(hours or 0) * 60 + int(minutes or 0)
    if not offset:
        return moment
    return moment + timedelta(minutes=offset if sign == "-" else -offset)


def read_date_carefully(value: str) -> datetime | None:
    """What `read_date` does with anything that is not written as most are."""
    try:
        value = value[:_DATE_LENGTH].strip()
        if _ISO_DATE.match(value):
            written = datetime.fromisoformat(_SPACE_BEFORE_ZONE.sub("", value))
            return (written if written.tzinfo else written.replace(tzinfo=UTC)).astimezone(UTC)
        parts = parsedate_tz(value)
        if parts is None:
            return None
        # Some programs write how many years have passed since 1900.
        year = parts[0] + 1900 if parts[0] in _YEARS_SINCE_1900 else parts[0]
        moment = datetime(year, *parts[1:5], min(parts[5], 59), tzinfo=UTC)
        return moment - timedelta(seconds=parts[9] or 0)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def read_message_ids(value: str) -> tuple[str, ...]:
    """Message ids without their angle brackets, in order, each once."""
    if not value:
        return ()
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
    start = value.find(";") + 1
    if not start:
        return {}
    found = _read_ordinary_parameters(value, start)
    return read_parameters_carefully(value) if found is None else found


def _read_ordinary_parameters(value: str, position: int) -> dict[str, str] | None:
    if "=?" in value or not has_no_controls(value) or '"' in value[:position]:
        return None
    found: dict[str, str] = {}
    while position < len(value):
        match = _ORDINARY_PARAMETER.match(value, position)
        if match is None:
            return None
        name, quoted, word = match.groups()
        found.setdefault(name.lower(), (quoted or word or "").strip())
        position = match.end()
    return found


def read_parameters_carefully(value: str) -> dict[str, str]:
    """What `read_parameters` does with anything that is not written as most are."""
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


_NO_QUOTES = str.maketrans('"', " ")
_NO_COMMENTS = str.maketrans("()", "  ")


@dataclass(slots=True)
class _Piece:
    """One address while it is read: words outside, inside <> and inside ()."""

    words: list[str]
    angle: list[str]
    comments: list[str]
    has_angle: bool = False


class _AddressList:
    """An address list (RFC 5322 section 3.4) read letter by letter, whatever it holds."""

    def __init__(self, value: str) -> None:
        self._value, self._position = value, 0
        self._piece = _Piece([], [], [])
        self._depth = 0
        self._quoted = self._in_angle = False
        # Where the quotation or comment began, and how many words stood before it.
        self._opened = self._words = 0

    def pieces(self) -> Iterator[_Piece]:
        """Each address with what stands around it."""
        while self._position < len(self._value):
            character = self._value[self._position]
            if self._quoted:
                self._read_quoted(character)
            elif self._depth:
                self._read_comment(character)
            elif character in ",;" and (not self._in_angle or _has_address(self._piece.angle)):
                if self._piece.words or self._piece.comments or self._piece.has_angle:
                    yield self._piece
                    self._piece, self._in_angle = _Piece([], [], []), False
            else:
                self._read_plain(character)
            self._position += 1
        if (self._quoted and not self._in_angle) or self._depth:
            # What never ends has not begun: the addresses behind it count.
            signs = _NO_COMMENTS if self._depth else _NO_QUOTES
            before = "".join(self._piece.words[: self._words])
            yield from _AddressList(before + self._value[self._opened :].translate(signs)).pieces()
        else:
            yield self._piece

    def _read_quoted(self, character: str) -> None:
        target = self._piece.angle if self._in_angle else self._piece.words
        if character == "\\":
            self._position += 1
            start = self._position - 1 if self._in_angle else self._position
            target.append(self._value[start : self._position + 1])
            return
        self._quoted = character != '"'
        if self._quoted or self._in_angle:
            target.append(character)
        elif self._value[self._position + 1 : self._position + 2] == "@":
            # `"john smith"@example.org` is an address and no name.
            target.insert(self._words, '"')
            target.append('"')

    def _read_comment(self, character: str) -> None:
        if character == "\\":
            self._position += 1
            self._piece.comments.append(self._value[self._position : self._position + 1])
        elif character in "()":
            self._depth += 1 if character == "(" else -1
        else:
            self._piece.comments.append(character)

    def _read_plain(self, character: str) -> None:
        piece = self._piece
        if character == '"' or (character == "(" and not self._in_angle):
            self._opened, self._words = self._position, len(piece.words)
            self._quoted, self._depth = character == '"', int(character == "(")
            if self._in_angle:
                piece.angle.append(character)
        elif character == "<":
            self._in_angle = piece.has_angle = True
            piece.angle.clear()
        elif character == ">" and self._in_angle:
            self._in_angle = False
        elif character == ":" and not self._in_angle and "@" not in piece.words:
            self._piece = _Piece([], [], [])
        else:
            (piece.angle if self._in_angle else piece.words).append(character)


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
        words = outside.split()
        addresses = [word for word in words if _BARE_ID.fullmatch(word)]
        if len(words) > 1 and len(addresses) == 1:
            # `Ada ada@example.org`: brackets that were forgotten.
            name = " ".join(word for word in words if word != addresses[0])
            return Mailbox(decode_words(name) or comment, addresses[0])
        return Mailbox(comment, _tidy(outside).strip("<>"))
    return Mailbox(decode_words(outside) or comment, "")


def _tidy(address: str) -> str:
    address = decode_words(address)
    return address if '"' in address else _WHITESPACE.sub("", address)

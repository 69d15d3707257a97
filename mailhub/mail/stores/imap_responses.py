"""IMAP's untagged responses, as imaplib hands them over → values.

imaplib keeps what the server said in a flat list: octets for a line, a pair for a line
that ends in a literal. `joined` puts each response together again, `read_items` reads
its parentheses. Servers put one too many or too few of those, quote what should be a
literal, send flags of other messages in between: what can be read is read, the rest
is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from mailhub.mail.octets import whole_of
from mailhub.mail.stores.base import NO_ARRIVAL, RemoteMessage

# A line of a response: octets, or (octets, literal).
Line = bytes | tuple[bytes, bytes] | None
# One response: its text, and its literals in the order in which they are announced.
Response = tuple[bytes, list[bytes]]
# An item: an atom or string as octets, NIL as None, or a list.
Item = bytes | None | list["Item"]

_LITERAL = re.compile(rb"~?\{\d+\+?\}\Z")
# A quotation begins behind no backslash, so that one without an end is looked for once.
_TOKEN = re.compile(
    rb'\s*(?:(?P<open>\()|(?P<close>\))|(?<!\\)"(?P<quoted>(?:[^"\\]|\\.)*+)"'
    # Brackets hold together a section alone: a flag may have one without the other.
    rb'|(?P<literal>\x00)|(?P<atom>(?:(?i:(?<=BODY))\[[^\]]*\]|[^\s()"\x00])+))',
    re.DOTALL,
)
_UNQUOTED_NAME = re.compile(
    rb'\s*\([^)]*\)\s+(?:NIL|"(?:[^"\\]|\\.)*")\s+(.*)\Z', re.IGNORECASE | re.DOTALL
)
_SECTION = re.compile(rb"BODY\[([^\]]*)\]")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_INTERNAL_DATE = re.compile(
    r"\s*(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2})(?: ([+-])(\d{2})(\d{2}))?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NUMBERS = {name: number for number, name in enumerate(_MONTHS, 1)}
# What a pass asks for, in any order, each once and written as RFC 9051 has it.
_ORDINARY_FETCH = re.compile(
    rb"\d+ \((?:(?:"
    rb"(?(1)(?!)|UID ([1-9]\d{0,8}))"
    rb"|(?(2)(?!)|FLAGS \(([^()\"\x00\[]{0,300})\))"
    rb"|(?(3)(?!)|INTERNALDATE \"([^\"\\\x00]*)\")"
    rb"|(?(4)(?!)|RFC822\.SIZE (\d{1,18}))"
    rb"|(?(5)(?!)|MODSEQ \((\d{1,18})\))"
    rb"|(?(6)(?!)|(?(7)(?!)|(?:EMAILID \(([\w-]{1,255})\)|X-GM-MSGID (\d{1,20}))))"
    rb"|(?(8)(?!)|BODY\[([^]a-z\x00]*)\] \x00)"
    rb")(?: |(?=\))))+\)"
)
_MAXIMUM_DEPTH = 50
_MINUTES_OF_A_DAY = 24 * 60
# UIDs have 32 bits, and no number has more than 63 (RFC 9051 section 9).
LARGEST_UID = 2**32 - 1
_LARGEST_NUMBER = 2**63 - 1
# Python refuses to read thousands of digits.
_MOST_DIGITS = 19


def joined(lines: Iterable[Line]) -> Iterator[Response]:
    """Whole responses: a pair goes on in the next line, plain octets end a response.

    In the text each literal is a NUL, which cannot otherwise stand in a line.
    """
    text, literals = b"", []
    for line in lines:
        if isinstance(line, tuple):
            mark = _LITERAL.search(line[0], max(0, len(line[0]) - 24))
            told = line[0][: mark.start()] if mark else line[0]
            text += told.replace(b"\x00", b"") + b"\x00"
            literals.append(line[1])
            continue
        if line is not None and (line or literals):
            yield text + line.replace(b"\x00", b""), literals
        text, literals = b"", []
    if literals:
        yield text, literals


def read_items(response: Response) -> list[Item]:
    """The items of a response as nested lists; odd parentheses are forgiven."""
    text, literals = response
    remaining = iter(literals)
    stack: list[list[Item]] = [[]]
    too_deep = 0
    for token in _TOKEN.finditer(text):
        if token["open"]:
            if len(stack) < _MAXIMUM_DEPTH:
                inner: list[Item] = []
                stack[-1].append(inner)
                stack.append(inner)
            else:
                too_deep += 1
        elif token["close"]:
            if too_deep:
                too_deep -= 1
            elif len(stack) > 1:
                stack.pop()
        elif token["literal"]:
            stack[-1].append(next(remaining, b""))
        elif token["quoted"] is not None:
            stack[-1].append(_ESCAPED.sub(rb"\1", token["quoted"]))
        else:
            atom = token["atom"]
            stack[-1].append(None if atom.upper() == b"NIL" else atom)
    return stack[0]


@dataclass(slots=True)
class FetchedItems:
    """What FETCH told about one message; None for what it did not tell.

    `sections` are the octets by section (`1.2`, "" for the whole), `structure` is what
    BODYSTRUCTURE said.
    """

    uid: int
    flags: frozenset[str] | None = None
    modseq: int = 0
    size: int = 0
    received_at: datetime = NO_ARRIVAL
    content: bytes | None = field(default=None, repr=False)
    remote_id: str = ""
    sections: dict[str, bytes] = field(default_factory=dict, repr=False)
    structure: list[Item] | None = None


def read_fetch(response: Response) -> FetchedItems | None:
    """One FETCH response; None where it names no UID (flags that another client changed)."""
    return _read_ordinary_fetch(response) or read_fetch_carefully(response)


def _read_ordinary_fetch(response: Response) -> FetchedItems | None:
    text, literals = response
    match = _ORDINARY_FETCH.fullmatch(text)
    if match is None or match[1] is None:
        return None
    uid, flags, date, size, modseq, email_id, google_id, section = match.groups()
    content = literals[0] if section is not None else None
    return FetchedItems(
        uid=int(uid),
        flags=None if flags is None else _flags_of(flags),
        modseq=int(modseq or 0),
        size=int(size or 0),
        received_at=(date and read_internal_date(date.decode("ascii", "replace"))) or NO_ARRIVAL,
        content=content,
        remote_id=(email_id or google_id or b"").decode("ascii"),
        sections={} if content is None else {section.decode("ascii", "replace"): content},
    )


# Mailboxes know a few sets of flags; the longest that is kept is bounded where it is read.
@lru_cache(maxsize=1024)
def _flags_of(text: bytes) -> frozenset[str]:
    return _flag_set(flag for flag in text.split() if flag.upper() != b"NIL")


def _flag_set(flags: Iterable[Item]) -> frozenset[str]:
    return frozenset(
        flag.decode("utf-8", "replace")
        for flag in flags
        # \\Recent says which session looked first, nothing about the message.
        if isinstance(flag, bytes) and flag.lower() != b"\\recent"
    )


def read_fetch_carefully(response: Response) -> FetchedItems | None:
    """What `read_fetch` does with anything but what a pass expects."""
    items = read_items(response)
    pairs = next((item for item in items if isinstance(item, list)), items[1:])
    told = _by_name(pairs)
    uid = read_number(told.get(b"UID"), LARGEST_UID)
    if uid <= 0:
        return None
    fetched = FetchedItems(uid, modseq=read_number(told.get(b"MODSEQ")))
    flags = told.get(b"FLAGS")
    if isinstance(flags, list):
        fetched.flags = _flag_set(flags)
    fetched.size = read_number(told.get(b"RFC822.SIZE"))
    date = told.get(b"INTERNALDATE")
    if isinstance(date, bytes):
        fetched.received_at = read_internal_date(date.decode("ascii", "replace")) or NO_ARRIVAL
    fetched.content = next(
        (
            value
            for name, value in told.items()
            if name.startswith((b"BODY[", b"RFC822")) and name != b"RFC822.SIZE"
            if isinstance(value, bytes)
        ),
        None,
    )
    fetched.remote_id = _remote_id(told)
    for name, value in told.items():
        if (section := _SECTION.match(name)) and isinstance(value, bytes):
            fetched.sections[section[1].decode("ascii", "replace")] = value
    structure = told.get(b"BODYSTRUCTURE")
    fetched.structure = structure if isinstance(structure, list) else None
    return fetched


def whole_messages(items: list[FetchedItems], asked: set[int]) -> dict[int, RemoteMessage]:
    """Messages by UID, from responses that may come in pieces and hold uninvited flags."""
    whole: dict[int, FetchedItems] = {}
    flags: dict[int, frozenset[str]] = {}
    for item in items:
        if item.flags is not None:
            flags[item.uid] = item.flags
        if item.content is not None and item.uid in asked:
            whole.setdefault(item.uid, item)
    return {
        uid: RemoteMessage(
            uid=uid,
            flags=flags.get(uid, frozenset()),
            received_at=item.received_at,
            size=item.size or len(whole_of(item.content or b"")),
            content=item.content or b"",
            modseq=item.modseq,
            remote_id=item.remote_id,
        )
        for uid, item in whole.items()
    }


def read_list(response: Response) -> tuple[tuple[str, ...], str, bytes] | None:
    """One LIST response: attributes, delimiter, raw name."""
    items = read_items(response)
    if len(items) < 3 or not isinstance(items[0], list):
        return None
    flags = tuple(flag.decode("ascii", "replace") for flag in items[0] if isinstance(flag, bytes))
    delimiter = items[1].decode("ascii", "replace") if isinstance(items[1], bytes) else ""
    name = _name_after_delimiter(response, items)
    return (flags, delimiter, name) if name is not None else None


def read_status(response: Response) -> dict[str, int]:
    """The numbers of one STATUS response by upper-case name."""
    last = read_items(response)[-1:]
    if not last or not isinstance(last[0], list):
        return {}
    return {
        name.decode("ascii", "replace"): read_number(value)
        for name, value in _by_name(last[0]).items()
    }


def read_status_name(response: Response) -> bytes | None:
    """The name of the folder of a STATUS response, as the server writes it."""
    items = read_items(response)
    return items[0] if items and isinstance(items[0], bytes) else None


def read_internal_date(text: str) -> datetime | None:
    """`21-Nov-2026 01:02:03 +0100` → aware, in UTC (RFC 9051, date-time)."""
    match = _INTERNAL_DATE.match(text)
    month = _MONTH_NUMBERS.get(match[2].lower()) if match else None
    if match is None or month is None:
        return None
    day, _, year, hour, minute, second, sign, hours, minutes = match.groups()
    offset = int(hours or 0) * 60 + int(minutes or 0)
    if offset >= _MINUTES_OF_A_DAY:
        return None
    try:
        clock = int(hour), int(minute), min(int(second), 59)
        moment = datetime(int(year), month, int(day), *clock, tzinfo=UTC)
        if offset:
            moment += timedelta(minutes=offset if sign == "-" else -offset)
    except (ValueError, OverflowError):
        return None
    return moment


def _by_name(items: list[Item]) -> dict[bytes, Item]:
    """Name and value pairs; a list where a name should stand is skipped (extra parentheses)."""
    told: dict[bytes, Item] = {}
    position = 0
    while position < len(items):
        name = items[position]
        if isinstance(name, list):
            told.update(_by_name(name))
            position += 1
            continue
        if name is not None and position + 1 < len(items):
            told.setdefault(name.upper(), items[position + 1])
        position += 2
    return told


def read_number(value: Item | None, largest: int = _LARGEST_NUMBER) -> int:
    """A number from 0 to `largest`; 0 for anything else. MODSEQ comes in parentheses."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, bytes) or not value.isdigit() or len(value) > _MOST_DIGITS:
        return 0
    number = int(value)
    return number if number <= largest else 0


def _remote_id(told: dict[bytes, Item]) -> str:
    for name in (b"EMAILID", b"X-GM-MSGID"):
        value = told.get(name)
        if isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, bytes):
            return value.decode("ascii", "replace")
    return ""


def _name_after_delimiter(response: Response, items: list[Item]) -> bytes | None:
    text, literals = response
    if literals:
        return literals[-1]
    name = items[2]
    if isinstance(name, list):
        return None
    # An unquoted name with brackets or spaces is no atom, but servers send it.
    if name is None or not text.rstrip().endswith(b'"'):
        match = _UNQUOTED_NAME.match(text)
        return match[1].strip() if match else name
    return name

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
from datetime import UTC, datetime, timedelta, timezone

from mailhub.mail.stores.base import RemoteMessage

# A line of a response: octets, or (octets, literal).
Line = bytes | tuple[bytes, bytes] | None
# One response: its text, and its literals in the order in which they are announced.
Response = tuple[bytes, list[bytes]]
# An item: an atom or string as octets, NIL as None, or a list.
Item = bytes | None | list["Item"]

_LITERAL = re.compile(rb"~?\{(\d+)\+?\}\Z")
_TOKEN = re.compile(
    rb'\s*(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    rb'|(?P<literal>\x00)|(?P<atom>(?:\[[^\]]*\]|[^\s()"\x00\[])+))',
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
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MAXIMUM_DEPTH = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def joined(lines: Iterable[Line]) -> Iterator[Response]:
    """Whole responses: a pair goes on in the next line, plain octets end a response.

    In the text each literal is a NUL, which cannot otherwise stand in a line.
    """
    text, literals = b"", []
    for line in lines:
        if isinstance(line, tuple):
            text += _LITERAL.sub(b"", line[0]).replace(b"\x00", b"") + b"\x00"
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
    received_at: datetime = _EPOCH
    content: bytes | None = field(default=None, repr=False)
    remote_id: str = ""
    sections: dict[str, bytes] = field(default_factory=dict, repr=False)
    structure: list[Item] | None = None


def read_fetch(response: Response) -> FetchedItems | None:
    """One FETCH response; None where it names no UID (flags that another client changed)."""
    items = read_items(response)
    pairs = next((item for item in items if isinstance(item, list)), items[1:])
    told = _by_name(pairs)
    uid = _number(told.get(b"UID"))
    if uid <= 0:
        return None
    fetched = FetchedItems(uid, modseq=_number(told.get(b"MODSEQ")))
    flags = told.get(b"FLAGS")
    if isinstance(flags, list):
        fetched.flags = frozenset(
            flag.decode("utf-8", "replace")
            for flag in flags
            # \\Recent says which session looked first, nothing about the message.
            if isinstance(flag, bytes) and flag.lower() != b"\\recent"
        )
    fetched.size = _number(told.get(b"RFC822.SIZE"))
    date = told.get(b"INTERNALDATE")
    if isinstance(date, bytes):
        fetched.received_at = read_internal_date(date.decode("ascii", "replace")) or _EPOCH
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
            size=item.size or len(item.content or b""),
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
        name.decode("ascii", "replace"): _number(value) for name, value in _by_name(last[0]).items()
    }


def read_status_name(response: Response) -> bytes | None:
    """The name of the folder of a STATUS response, as the server writes it."""
    items = read_items(response)
    return items[0] if items and isinstance(items[0], bytes) else None


def read_internal_date(text: str) -> datetime | None:
    """`21-Nov-2026 01:02:03 +0100` → aware, in UTC (RFC 9051, date-time)."""
    match = _INTERNAL_DATE.match(text)
    if match is None or match[2].lower() not in _MONTHS:
        return None
    offset = timedelta(hours=int(match[8] or 0), minutes=int(match[9] or 0))
    try:
        zone = timezone(-offset if match[7] == "-" else offset)
        month = _MONTHS.index(match[2].lower()) + 1
        clock = int(match[4]), int(match[5]), min(int(match[6]), 59)
        return datetime(int(match[3]), month, int(match[1]), *clock, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


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


def _number(value: Item | None) -> int:
    """A number that is not negative; 0 for anything else. MODSEQ comes in parentheses."""
    if isinstance(value, list):
        value = value[0] if value else None
    return int(value) if isinstance(value, bytes) and value.isdigit() else 0


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

"""What goes into an IMAP command: sets of UIDs, flags, and nothing that could end the line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mailhub.mail.errors import InvalidMessage

# Servers take command lines of 8,192 octets at least (RFC 7162 section 4).
_MAXIMUM_SET = 7_000
_RANGE = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")
_LINE_BREAK = re.compile(rb"\r\n|\r|\n")
_FLAG = re.compile(r"\\?[^\s(){%*\"\\\]\x00-\x1f\x7f-\U0010ffff]+")


def expand_set(text: str, limit: int = 1_000_000) -> list[int]:
    """`3:5,9` → [3, 4, 5, 9], in the order written; [] for nonsense or beyond the limit."""
    numbers: list[int] = []
    for piece in text.split(","):
        written = _RANGE.fullmatch(piece)
        if written is None:
            return []
        start, end = int(written[1]), int(written[2] or written[1])
        if abs(end - start) + len(numbers) >= limit:
            return []
        step = 1 if end >= start else -1
        numbers.extend(range(start, end + step, step))
    return numbers


def read_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """`3:5,9` → ((3, 5), (9, 9)), ascending; pieces that are nonsense are left out."""
    found = []
    for piece in text.split(","):
        written = _RANGE.fullmatch(piece)
        if written is not None:
            ends = sorted((int(written[1]), int(written[2] or written[1])))
            found.append((ends[0], ends[1]))
    return tuple(sorted(found))


def compress_set(uids: Iterable[int]) -> str:
    """[3, 4, 5, 9] → `3:5,9`, sorted, each once."""
    pieces: list[list[int]] = []
    for uid in sorted(set(uids)):
        if pieces and uid == pieces[-1][1] + 1:
            pieces[-1][1] = uid
        else:
            pieces.append([uid, uid])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in pieces)


def given(*arguments: bytes | str | None) -> list[bytes | str]:
    return [argument for argument in arguments if argument]


def command_sets(uids: Sequence[int]) -> Iterator[str]:
    """The UIDs as sets that fit in a command line."""
    rest = compress_set(uids)
    while len(rest) > _MAXIMUM_SET:
        cut = rest.rindex(",", 0, _MAXIMUM_SET)
        yield rest[:cut]
        rest = rest[cut + 1 :]
    if rest:
        yield rest


def flag_list(flags: Sequence[str]) -> str:
    for flag in flags:
        if not _FLAG.fullmatch(flag):
            raise InvalidMessage(f"{flag!r} cannot be a flag.")
    return f"({' '.join(flags)})"


def with_crlf(content: bytes) -> bytes:
    """A message whose lines all end in CRLF; one that is right already is not held twice."""
    if content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r"):
        return content
    return _LINE_BREAK.sub(b"\r\n", content)

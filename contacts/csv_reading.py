"""Reads rows from a file that nobody has checked, a line at a time.

The bytes are UTF-8 or cp1252, in pieces of any size. A row may span lines where a value
is quoted (RFC 4180). What cannot be read becomes a `Record` with a reason, and reading
goes on at the next line: an unclosed quotation mark costs its own line, not the rest of
the file. Memory is bounded by LONGEST_ROW, whatever the file holds.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LONGEST_ROW = 256 * 1024
# A file made to be read again and again costs no more than this.
_MOST_READ_AGAIN = 4 * 1024 * 1024


class Record(NamedTuple):
    """One row: `values`, or the `reason` why there are none.

    `line` is where it begins, counted from 1; `offset` and `last_line` are the place
    after it, from which reading can go on. `raw` are its lines.
    """

    line: int
    values: list[str]
    reason: str
    raw: list[bytes]
    offset: int
    last_line: int


class UnreadableLine(Exception):
    """The message says why, in a person's words."""


class Lines:
    """The decoded lines of a file, for `csv.reader`.

    `offset` (bytes) and `line` say how far it has been read. Raises UnreadableLine for a
    line that is not text in the encoding, and where a row grows too long.
    """

    def __init__(
        self, blocks: Iterable[bytes], *, encoding: str, offset: int = 0, line: int = 0
    ) -> None:
        self.offset, self.line = offset, line
        self.taken: list[bytes] = []
        self._encoding = encoding
        self._taken_size = 0
        self._again: deque[bytes] = deque()
        self._left_to_read_again = _MOST_READ_AGAIN
        self._unseen = 0
        self._source = self._split(blocks)

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        raw = self._again.popleft() if self._again else next(self._source)
        size = len(raw)
        self.offset += size + self._unseen
        self._unseen = 0
        self.line += 1
        self.taken.append(raw)
        self._taken_size += size
        if self._taken_size > LONGEST_ROW:
            raise UnreadableLine(f"The row is longer than {LONGEST_ROW // 1024} kB.")
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError:
            raise UnreadableLine("The row holds bytes that are not text.") from None

    def begin_row(self) -> None:
        """What is taken from here on belongs to a new row."""
        self.taken = []
        self._taken_size = 0

    def give_back_all_but_first(self) -> None:
        """Offer the row's other lines once more: its first one was broken."""
        back = self.taken[1:]
        size = sum(map(len, back))
        if size > self._left_to_read_again:
            return
        self._left_to_read_again -= size
        self._again.extendleft(reversed(back))
        self.offset -= size
        self.line -= len(back)
        del self.taken[1:]

    def _split(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Whole lines; of one longer than a row may be, as much as shows that it is."""
        rest, unseen = b"", 0
        for block in blocks:
            lines = (rest + block).splitlines(keepends=True)
            # A line feed may follow a carriage return in the next block.
            rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
            for line in lines:
                if unseen:
                    self._unseen, unseen = unseen, 0
                yield line
            if len(rest) > LONGEST_ROW + 1:
                unseen += len(rest) - LONGEST_ROW - 1
                rest = rest[: LONGEST_ROW + 1]
        if rest:
            self._unseen = unseen
            yield rest


def read_records(lines: Lines, delimiter: str) -> Iterator[Record]:
    """The rows of the file, without those in which every value is blank."""
    rows = _reader(lines, delimiter)
    while True:
        lines.begin_row()
        first = lines.line + 1
        values: list[str] = []
        reason = ""
        try:
            values = next(rows)
        except StopIteration:
            return
        except UnreadableLine as error:
            reason = str(error)
        except csv.Error as error:
            reason = _in_words(error)
        if reason:
            lines.give_back_all_but_first()
            rows = _reader(lines, delimiter)
        elif not any(values):
            continue
        yield Record(first, values, reason, lines.taken, lines.offset, lines.line)


def _reader(lines: Lines, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)


def _in_words(error: csv.Error) -> str:
    if "field limit" in str(error):
        return f"A value is longer than {csv.field_size_limit() // 1024} kB."
    return "A quotation mark is not closed, or one inside a value is not doubled."

"""Reads the first sheet of a workbook (.xlsx, ECMA-376) as CSV, a row at a time.

A workbook is a ZIP archive of XML files. The sheet is parsed while it is unpacked; texts,
which it names by their numbers in a table of their own, are laid down in a temporary file.
So memory stays small, where a library that loads whole sheets needs gigabytes for the
largest, and the CSV goes the way that every CSV goes: it is kept, resumed and reported on by
lines, and line n is row n of the sheet, for a line break in a cell becomes a space.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import BinaryIO, NamedTuple, cast
from xml.parsers import expat

from contacts.workbook_parts import (
    LARGEST_PART,
    LARGEST_SMALL_PART,
    Archive,
    Book,
    Handler,
    PartTooLarge,
)
from mailhub.errors import InvalidInput

MAGIC = b"PK\x03\x04"
MOST_CELLS_A_ROW = 500
_LONGEST_CELL = 256 * 1024
_BLOCK = 256 * 1024
# A heading and a few rows are asked for while somebody waits.
_FIRST_BLOCK = 16 * 1024
_MOST_RECENT = 10_000
_LAST_ROW = 1_048_576
_COLUMN = re.compile(r"[A-Z]{1,3}")
_BREAKS = re.compile(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_NO_WORKBOOK = "This is an archive, and no workbook that can be read. Save the sheet as CSV."
_TOO_LARGE = "This workbook unpacks to more than a workbook may. Save the sheet as CSV."


class Place(NamedTuple):
    """Where a sheet can be read on: before the row that begins `at` this octet of `size`.

    `line` rows stand before it.
    """

    at: int = 0
    line: int = 0
    size: int = 0


class _Row(NamedTuple):
    number: int
    values: list[str]
    at: int


def read_as_csv(
    file: BinaryIO, since: Place | None = None, tick: Callable[[int], None] = lambda _octets: None
) -> Iterator[tuple[bytes, Place]]:
    """The first visible sheet in blocks of whole lines, UTF-8, each with the place after it.

    `tick` is called with the octets of each block that was unpacked, some hundred kB; what
    it raises ends the reading. Raises InvalidInput.
    """
    since = since or Place()
    try:
        with zipfile.ZipFile(file) as opened:
            archive = Archive(opened, tick)
            book = Book(archive)
            size = archive.size(book.sheet_part)
            with closing(_Texts(archive, book.texts_part)) as texts:
                yield from _as_lines(_Sheet(book, texts).rows(archive, since), since.line, size)
    except PartTooLarge:
        raise InvalidInput.field("file", _TOO_LARGE) from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        expat.ExpatError,
        LookupError,
        ValueError,
        OverflowError,
        EOFError,
        NotImplementedError,
        RuntimeError,  # encrypted
    ):
        raise InvalidInput.field("file", _NO_WORKBOOK) from None


def _as_lines(rows: Iterator[_Row], line: int, size: int) -> Iterator[tuple[bytes, Place]]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    most = _BLOCK if line else _FIRST_BLOCK
    for row in rows:
        if text.tell() > most:
            yield text.getvalue().encode("utf-8", "surrogatepass"), Place(row.at, line, size)
            text.seek(0)
            text.truncate()
            most = _BLOCK
        while line + 1 < row.number:
            text.write("\n")
            line += 1
        # One empty value alone would be written as quotation marks.
        writer.writerow(row.values if any(row.values) else ())
        line = row.number
    yield text.getvalue().encode("utf-8", "surrogatepass"), Place(size, line, size)


class _Texts(Handler):
    """The table of texts, in a file; `texts[n]` reads one of them.

    Read as far as it was asked for: a heading wants the first few of what may be millions.
    """

    def __init__(self, archive: Archive, path: str) -> None:
        self._blocks = self._read(archive, path)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._ends = array("Q")
        self._pieces: list[str] = []
        self._is_text = self._is_reading_aid = False
        self._recent: dict[int, str] = {}

    def close(self) -> None:
        """Forget them."""
        self._blocks.close()
        self._file.close()

    def _read(self, archive: Archive, path: str) -> Generator[None, None, None]:
        if path:
            yield from self.parse(archive.blocks(path, LARGEST_PART))

    def _read_up_to(self, number: int) -> None:
        """Lay down more of them. Raises LookupError where there are fewer."""
        self._file.seek(0, io.SEEK_END)
        while number >= len(self._ends):
            if next(self._blocks, self._blocks) is not None:
                raise LookupError("no such text")

    def start(self, name: str, given: dict[str, str]) -> None:
        self._is_text = name == "t"
        if name == "rPh":  # how to say it, beside the text itself
            self._is_reading_aid = True

    def end(self, name: str) -> None:
        self._is_text = False
        if name == "rPh":
            self._is_reading_aid = False
        elif name == "si":
            text = "".join(self._pieces)[:_LONGEST_CELL].encode("utf-8", "surrogatepass")
            self._pieces.clear()
            self._file.write(text)
            self._ends.append((self._ends[-1] if self._ends else 0) + len(text))

    def text(self, text: str) -> None:
        if self._is_text and not self._is_reading_aid:
            self._pieces.append(text)

    def __getitem__(self, number: int) -> str:
        found = self._recent.get(number)
        if found is None:
            if number < 0:
                raise ValueError("no such text")
            if number >= len(self._ends):
                self._read_up_to(number)
            begin = self._ends[number - 1] if number else 0
            self._file.seek(begin)
            found = self._file.read(self._ends[number] - begin).decode("utf-8", "surrogatepass")
            if len(self._recent) >= _MOST_RECENT:
                self._recent.clear()
            self._recent[number] = found
        return found


class _Sheet(Handler):
    """The rows of a sheet, each with its number and its values as text."""

    def __init__(self, book: Book, texts: _Texts) -> None:
        self._book = book
        self._texts = texts
        self._rows: deque[_Row] = deque()
        self._number = self._begins_at = self._fed_before = 0
        self._values: list[str] = []
        self._column = 0
        self._kind = self._style = ""
        self._pieces: list[str] = []
        self._is_value = False
        start = datetime(1904, 1, 1, tzinfo=UTC)
        # 1900 counts from a day before its first, and knows a 29 February that never was.
        self._epoch = start if book.starts_in_1904 else datetime(1899, 12, 30, tzinfo=UTC)

    def rows(self, archive: Archive, since: Place) -> Iterator[_Row]:
        """In their order; what lies beyond the last row or column of a contact is left out."""
        blocks = archive.blocks(self._book.sheet_part, LARGEST_PART, since.at)
        if since.at:
            opening = self._opening(archive)
            blocks = chain([opening], blocks)
            self._number, self._fed_before = since.line, since.at - len(opening)
        for _ in self.parse(blocks):
            while self._rows:
                yield self._rows.popleft()

    def _opening(self, archive: Archive) -> bytes:
        """What stands before the first row, and makes sense of those after it."""
        first, read = _FirstRow(), bytearray()

        def kept() -> Iterator[bytes]:
            for block in archive.blocks(self._book.sheet_part, LARGEST_SMALL_PART):
                read.extend(block)
                yield block

        for _ in first.parse(kept()):
            if first.at is not None:
                return bytes(read[: first.at])
        raise ValueError("no row")

    def start(self, name: str, given: dict[str, str]) -> None:
        if name == "c":
            self._kind, self._style = given.get("t", "n"), given.get("s", "")
            place = _COLUMN.match(given.get("r", ""))
            self._column = _column_number(place[0]) if place else len(self._values)
        elif name == "v" or (name == "t" and self._kind == "inlineStr"):
            self._is_value = True
        elif name == "row":
            number = int(given.get("r", self._number + 1))
            if not self._number < number <= _LAST_ROW:
                raise ValueError("rows in disorder")
            self._number, self._values = number, []
            self._begins_at = self._fed_before + self.parser.CurrentByteIndex

    def text(self, text: str) -> None:
        if self._is_value:
            self._pieces.append(text)

    def end(self, name: str) -> None:
        if name == "c":
            if self._pieces and self._column < MOST_CELLS_A_ROW:
                self._values += [""] * (self._column + 1 - len(self._values))
                self._values[self._column] = self._said("".join(self._pieces))
            self._pieces.clear()
        elif name in ("v", "t"):
            self._is_value = False
        elif name == "row":
            self._rows.append(_Row(self._number, self._values, self._begins_at))

    def _said(self, value: str) -> str:
        match self._kind:
            case "s":
                value = self._texts[int(value)]
            case "b":
                value = "true" if value == "1" else "false"
            case "n":
                value = self._said_number(value)
        return _BREAKS.sub(" ", value[:_LONGEST_CELL]).replace("\0", "\ufffd")

    def _said_number(self, value: str) -> str:
        number = float(value)
        if self._style and int(self._style) in self._book.date_styles:
            moment = self._epoch + timedelta(days=number)
            day = f"{moment:%Y-%m-%d}"
            return day if number.is_integer() else f"{day}T{moment:%H:%M:%S}"
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


class _FirstRow(Handler):
    """Where the first row of a sheet begins, in octets; None before it is seen."""

    at: int | None = None

    def start(self, name: str, given: dict[str, str]) -> None:
        if name == "row" and self.at is None:
            self.at = self.parser.CurrentByteIndex


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def is_workbook(head: bytes) -> bool:
    """Whether a file that begins like this may be one."""
    return head.startswith(MAGIC)


def as_binary(file: object) -> BinaryIO:
    """An upload, as `zipfile` wants it."""
    return cast(BinaryIO, getattr(file, "file", file))

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
from functools import lru_cache
from typing import IO, Any, BinaryIO, cast
from xml.parsers import expat

from mailhub.errors import InvalidInput

MAGIC = b"PK\x03\x04"
MOST_CELLS_A_ROW = 500
# What a sheet of a million rows unpacks to, with room to spare; more is a bomb.
_LARGEST_PART = 4 * 1024**3
_LARGEST_SMALL_PART = 16 * 1024**2
_LONGEST_CELL = 256 * 1024
_BLOCK = 256 * 1024
_MOST_RECENT = 10_000
_LAST_ROW = 1_048_576
_COLUMN = re.compile(r"[A-Z]{1,3}")
_BREAKS = re.compile(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_BUILT_IN_DATES = {*range(14, 23), *range(45, 48)}
# What stands in quotation marks, brackets or behind a backslash is shown as it is.
_LITERALS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
_NO_WORKBOOK = "This is an archive, and no workbook that can be read. Save the sheet as CSV."


def read_as_csv(file: BinaryIO) -> Iterator[bytes]:
    """The first visible sheet in blocks of whole lines, UTF-8. Raises InvalidInput."""
    try:
        with zipfile.ZipFile(file) as archive:
            book = _Book(archive)
            with closing(_Texts(archive, book.texts_part)) as texts:
                yield from _as_lines(_Sheet(book, texts).rows(archive))
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


def _as_lines(rows: Iterator[tuple[int, list[str]]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    line = 0
    for row, values in rows:
        while line + 1 < row:
            text.write("\n")
            line += 1
        # One empty value alone would be written as quotation marks.
        writer.writerow(values if any(values) else ())
        line = row
        if text.tell() > _BLOCK:
            yield text.getvalue().encode("utf-8", "surrogatepass")
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode("utf-8", "surrogatepass")


class _Handler:
    """Parses one part; a subclass says what to do with elements and texts.

    Entities are refused: a workbook needs none, and they are how XML is made to explode.
    """

    def parse(self, part: IO[bytes], most: int) -> Iterator[None]:
        """Feed the part in blocks, and stop after each. Raises ExpatError, ValueError."""
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, given: self.start(_local(name), given)
        parser.EndElementHandler = lambda name: self.end(_local(name))
        parser.CharacterDataHandler = self.text
        parser.EntityDeclHandler = self._refuse
        read = 0
        while block := part.read(_BLOCK):
            read += len(block)
            if read > most:
                raise ValueError("too large")
            parser.Parse(block, False)
            yield
        parser.Parse(b"", True)
        yield

    def start(self, name: str, given: dict[str, str]) -> None:
        raise NotImplementedError

    def end(self, name: str) -> None:
        """Most parts say all in attributes."""

    def text(self, text: str) -> None:
        """Most parts say all in attributes."""

    def _refuse(self, *_: Any) -> None:
        raise ValueError("entities")


@lru_cache(maxsize=256)
def _local(name: str) -> str:
    return name.rpartition("}")[2]


class _Attributes(_Handler):
    """Calls `note` for each element of a small part."""

    def __init__(self, note: Callable[[str, dict[str, str]], None]) -> None:
        self._note = note

    def start(self, name: str, given: dict[str, str]) -> None:
        self._note(name, {_local(key): value for key, value in given.items()})


class _Book:
    """Which part is the first visible sheet, which holds the texts, which styles are dates."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._targets: dict[str, str] = {}
        self.texts_part = ""
        styles = ""
        sheets: list[str] = []
        self.starts_in_1904 = False
        self.date_styles: set[int] = set()

        def note_relation(name: str, given: dict[str, str]) -> None:
            nonlocal styles
            if name == "Relationship":
                target = given["Target"]
                path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
                self._targets[given["Id"]] = path
                kind = given["Type"].rpartition("/")[2]
                if kind == "sharedStrings":
                    self.texts_part = path
                elif kind == "styles":
                    styles = path

        def note_book(name: str, given: dict[str, str]) -> None:
            if name == "workbookPr":
                self.starts_in_1904 = given.get("date1904") in ("1", "true")
            elif name == "sheet" and given.get("state", "visible") == "visible":
                sheets.append(given["id"])

        self._read("xl/_rels/workbook.xml.rels", note_relation)
        self._read("xl/workbook.xml", note_book)
        if styles:
            self._read_styles(styles)
        self.sheet_part = self._targets[sheets[0]] if sheets else ""

    def _read(self, path: str, note: Callable[[str, dict[str, str]], None]) -> None:
        with self._archive.open(path) as part:
            deque(_Attributes(note).parse(part, _LARGEST_SMALL_PART), maxlen=0)

    def _read_styles(self, path: str) -> None:
        formats: dict[int, str] = {}
        styles: list[int] = []
        is_within = False

        def note(name: str, given: dict[str, str]) -> None:
            nonlocal is_within
            if name in ("cellXfs", "cellStyleXfs", "dxfs", "cellStyles"):
                is_within = name == "cellXfs"
            elif name == "numFmt":
                formats[int(given["numFmtId"])] = given["formatCode"]
            elif name == "xf" and is_within:
                styles.append(int(given.get("numFmtId", "0")))

        self._read(path, note)
        self.date_styles = {
            place
            for place, number in enumerate(styles)
            if number in _BUILT_IN_DATES or _is_date_format(formats.get(number, ""))
        }


def _is_date_format(code: str) -> bool:
    shown = _LITERALS.sub("", code.partition(";")[0]).lower()
    return any(letter in shown for letter in "ymdhs") and "general" not in shown


class _Texts(_Handler):
    """The table of texts, in a file; `texts[n]` reads one of them.

    Read as far as it was asked for: a heading wants the first few of what may be millions.
    """

    def __init__(self, archive: zipfile.ZipFile, path: str) -> None:
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

    def _read(self, archive: zipfile.ZipFile, path: str) -> Generator[None, None, None]:
        if path:
            with archive.open(path) as part:
                yield from self.parse(part, _LARGEST_PART)

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


class _Sheet(_Handler):
    """The rows of a sheet, each with its number and its values as text."""

    def __init__(self, book: _Book, texts: _Texts) -> None:
        self._book = book
        self._texts = texts
        self._rows: deque[tuple[int, list[str]]] = deque()
        self._number = 0
        self._values: list[str] = []
        self._column = 0
        self._kind = self._style = ""
        self._pieces: list[str] = []
        self._is_value = False
        start = datetime(1904, 1, 1, tzinfo=UTC)
        # 1900 counts from a day before its first, and knows a 29 February that never was.
        self._epoch = start if book.starts_in_1904 else datetime(1899, 12, 30, tzinfo=UTC)

    def rows(self, archive: zipfile.ZipFile) -> Iterator[tuple[int, list[str]]]:
        """In their order; what lies beyond the last row or column of a contact is left out."""
        with archive.open(self._book.sheet_part) as part:
            for _ in self.parse(part, _LARGEST_PART):
                while self._rows:
                    yield self._rows.popleft()

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
            self._rows.append((self._number, self._values))

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

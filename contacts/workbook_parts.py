"""The parts of a workbook: XML files in a ZIP archive, parsed while they are unpacked."""

from __future__ import annotations

import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import IO, Any
from xml.parsers import expat

# What a sheet of a million rows unpacks to, with room to spare; more is a bomb.
LARGEST_PART = 4 * 1024**3
LARGEST_SMALL_PART = 16 * 1024**2
_BLOCK = 256 * 1024
_BUILT_IN_DATES = {*range(14, 23), *range(45, 48)}
# What stands in quotation marks, brackets or behind a backslash is shown as it is.
_LITERALS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')


class PartTooLarge(ValueError):
    """A part unpacks to more than such a part may."""


class Archive:
    """The parts by their names; `tick` is told the size of each block that is unpacked."""

    def __init__(self, archive: zipfile.ZipFile, tick: Callable[[int], None]) -> None:
        self._archive = archive
        self._tick = tick

    def size(self, name: str) -> int:
        """Octets of the part, unpacked. Raises LookupError."""
        return self._archive.getinfo(name).file_size

    def blocks(self, name: str, most: int, since: int = 0) -> Iterator[bytes]:
        """The part from this octet on. Raises LookupError, PartTooLarge."""
        with self._archive.open(name) as part:
            self._skip(part, since)
            read = since
            while block := part.read(_BLOCK):
                read += len(block)
                if read > most:
                    raise PartTooLarge
                self._tick(len(block))
                yield block

    def _skip(self, part: IO[bytes], octets: int) -> None:
        while octets and (block := part.read(min(octets, _BLOCK))):
            octets -= len(block)
            self._tick(len(block))


class Handler:
    """Parses one part; a subclass says what to do with elements and texts.

    Entities are refused: a workbook needs none, and they are how XML is made to explode.
    """

    parser: expat.XMLParserType

    def parse(self, blocks: Iterable[bytes]) -> Iterator[None]:
        """Feed a part in blocks, and stop after each. Raises ExpatError, ValueError."""
        self.parser = parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = lambda name, given: self.start(_local(name), given)
        parser.EndElementHandler = lambda name: self.end(_local(name))
        parser.CharacterDataHandler = self.text
        parser.EntityDeclHandler = self._refuse
        for block in blocks:
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


class Attributes(Handler):
    """Calls `note` for each element of a small part."""

    def __init__(self, note: Callable[[str, dict[str, str]], None]) -> None:
        self._note = note

    def start(self, name: str, given: dict[str, str]) -> None:
        self._note(name, {_local(key): value for key, value in given.items()})


class Book:
    """Which part is the first visible sheet, which holds the texts, which styles are dates."""

    def __init__(self, archive: Archive) -> None:
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
        deque(Attributes(note).parse(self._archive.blocks(path, LARGEST_SMALL_PART)), maxlen=0)

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

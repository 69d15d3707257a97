"""A file as it came in, kept in the database in pieces, as UTF-8, cp1252 or a workbook.

Written and read a piece at a time: memory does not grow with the file, and each piece is
a short transaction of its own.
"""

from __future__ import annotations

import codecs
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

from contacts.models import ImportChunk, ImportJob
from contacts.workbook_reading import as_binary, is_workbook, read_as_csv
from mailhub.errors import InvalidInput

BLOCK = 512 * 1024
# A heading is looked for while somebody waits: no more of a workbook is unpacked for it.
MOST_UNPACKED_FOR_A_HEADING = 32 * 1024 * 1024
_NO_COMPRESSION, _FASTEST_COMPRESSION = 0, 1
_CHUNKS_A_DELETION = 8

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_CSV = {
    b"\xd0\xcf\x11\xe0": "This is an old Excel workbook. Save it as .xlsx or CSV, and import that.",
    b"\x1f\x8b": "This file is compressed. Unpack it first.",
    b"%PDF": "This is a PDF. Import a CSV file or a workbook.",
}


class Readable(Protocol):
    """What an uploaded file and an open file have in common."""

    def read(self, size: int = ..., /) -> Any: ...

    def seek(self, offset: int, whence: int = ..., /) -> Any: ...


class HeadingTooDeep(InvalidInput):
    """What a workbook begins with is found too late to be waited for."""


class EncodingTally:
    """Tells UTF-8 from cp1252 by all lines of a file, unless it is certain beforehand.

    One damaged line among many sound ones does not turn the rest into gibberish. `separator`
    is what stands between the values where that is certain too, else "".
    """

    def __init__(self, *, is_certain: bool, separator: str = "") -> None:
        self.separator = separator
        self._is_certain = is_certain
        self._sound = self._unsound = 0

    def count(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The same blocks; their lines beyond ASCII are counted as they pass."""
        for block in blocks:
            if not self._is_certain and not block.isascii():
                self._count_lines(block)
            yield block

    def _count_lines(self, block: bytes) -> None:
        for line in block.splitlines():
            if not line.isascii():
                try:
                    line.decode()
                    self._sound += 1
                except UnicodeDecodeError:
                    self._unsound += 1

    @property
    def encoding(self) -> str:
        """`utf-8` or `cp1252`."""
        return "cp1252" if self._unsound > self._sound else "utf-8"


def read_beginning(file: Readable) -> tuple[Iterator[bytes], EncodingTally]:
    """The file's rows as text, from its first; to be taken while somebody waits.

    Raises InvalidInput for what is neither text nor a workbook; the blocks raise
    HeadingTooDeep where much of a workbook would have to be unpacked for the next of them.
    """
    if not is_workbook(_head(file)):
        return stored_form(file)
    unpacked = 0

    def count(octets: int) -> None:
        nonlocal unpacked
        unpacked += octets
        if unpacked > MOST_UNPACKED_FOR_A_HEADING:
            raise HeadingTooDeep.field(
                "file",
                "This workbook is too large to show its columns beforehand. "
                "The import can be started all the same.",
            )

    rows = read_as_csv(as_binary(file), tick=count)
    return (block for block, _ in rows), rows_of_a_workbook()


def rows_of_a_workbook() -> EncodingTally:
    """How text is encoded that was a workbook."""
    return EncodingTally(is_certain=True, separator=",")


def _head(file: Readable) -> bytes:
    file.seek(0)
    head: bytes = file.read(BLOCK)
    return head


def stored_form(file: Readable) -> tuple[Iterator[bytes], EncodingTally]:
    """A text file in blocks of whole lines (where lines are not huge), in a form to be kept.

    Its byte order mark is dropped, UTF-16 and UTF-32 become UTF-8. The tally knows the
    encoding of the blocks that were taken. Raises InvalidInput for what is no text.
    """
    head = _head(file)
    for magic, words in _NOT_CSV.items():
        if head.startswith(magic):
            raise InvalidInput.field("file", words)
    mark, encoding = next(((m, e) for m, e in _MARKS if head.startswith(m)), (b"", ""))
    if not mark:
        encoding = _guess_wide_encoding(head)
    blocks = _rest_of(file, head[len(mark) :])
    if encoding not in ("", "utf-8"):
        blocks = _recoded(blocks, encoding)
    tally = EncodingTally(is_certain=bool(encoding))
    return tally.count(_whole_lines(blocks)), tally


def _rest_of(file: Readable, head: bytes) -> Iterator[bytes]:
    block = head
    while block:
        yield block
        block = file.read(BLOCK)


def _guess_wide_encoding(head: bytes) -> str:
    """UTF-16 without its mark: every other byte of western text is NUL."""
    sample = head[:4096]
    half = len(sample) // 2
    if half and sample[1::2].count(0) > half * 0.6:
        return "utf-16-le"
    if half and sample[0::2].count(0) > half * 0.6:
        return "utf-16-be"
    return ""


def _recoded(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    # Half of a surrogate pair passes here, and is refused with its line when that is read.
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogatepass")
    try:
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
    except UnicodeError:
        raise InvalidInput.field("file", "The file is not text in its encoding.") from None


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end == 0 and len(rest) < BLOCK:
            rest += block
            continue
        yield rest + block[:end]
        rest = block[end:]
    if rest:
        yield rest


def keep_file(job: ImportJob, file: Readable) -> None:
    """Store the file with the job, and set what the job says of it (not saved)."""
    if is_workbook(head := _head(file)):
        _keep_blocks(job, _rest_of(file, head), is_workbook=True)
        job.sheet_size = 0
        return
    blocks, tally = stored_form(file)
    job.size = _keep_blocks(job, blocks)
    job.encoding = tally.encoding


def _keep_blocks(job: ImportJob, blocks: Iterator[bytes], *, is_workbook: bool = False) -> int:
    size = 0
    for block in blocks:
        keep_block(job, size, block, is_workbook=is_workbook)
        size += len(block)
    return size


def keep_block(job: ImportJob, offset: int, block: bytes, *, is_workbook: bool = False) -> None:
    """Store a piece that begins at this octet; one of a workbook is compressed already."""
    level = _NO_COMPRESSION if is_workbook else _FASTEST_COMPRESSION
    ImportChunk.objects.create(
        job=job, is_workbook=is_workbook, offset=offset, content=zlib.compress(block, level)
    )


@contextmanager
def kept_workbook(job: ImportJob, tick: Callable[[int], None]) -> Iterator[BinaryIO]:
    """The stored workbook in a temporary file; `tick` is called with the octets of each piece."""
    with tempfile.TemporaryFile() as file:
        for block in kept_blocks(job, 0, is_workbook=True):
            file.write(block)
            tick(len(block))
        yield file


def kept_blocks(job: ImportJob, offset: int, *, is_workbook: bool = False) -> Iterator[bytes]:
    """The stored rows, or the workbook that they are read from, from this octet on."""
    chunks = ImportChunk.objects.filter(job=job, is_workbook=is_workbook)
    begin = chunks.filter(offset__lte=offset).order_by("-offset").first()
    chunk = begin
    while chunk is not None:
        content = zlib.decompress(bytes(chunk.content))
        yield content[offset - chunk.offset :] if chunk is begin else content
        chunk = chunks.filter(offset__gt=chunk.offset).order_by("offset").first()


def drop_file(job: ImportJob) -> None:
    """Forget the stored file of a job that has ended, in short steps."""
    while keys := list(ImportChunk.objects.filter(job=job).values_list("pk")[:_CHUNKS_A_DELETION]):
        ImportChunk.objects.filter(pk__in=[key for (key,) in keys]).delete()
    ImportJob.objects.filter(pk=job.pk).update(has_file=False)

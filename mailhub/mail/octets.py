"""The octets of a large message: in a file, and never as a whole in memory.

What is larger than `LARGE` goes into a temporary file as it arrives (`Spool`), is read there
piece by piece, and is copied from there to where it is kept.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

LARGE = 4 * 1024 * 1024
PIECE = 1024 * 1024


class _Descriptor:
    """An open file, closed once nobody holds it any more."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


class FileOctets:
    """`length` octets of an open file, from `start` on. Safe to use from several threads."""

    def __init__(self, file: BinaryIO, start: int, length: int) -> None:
        """The file may be closed afterwards."""
        self._descriptor = _Descriptor(os.dup(file.fileno()))
        self._start, self._length = start, length

    def after(self, place: int) -> FileOctets:
        """The octets from a place on."""
        rest = copy(self)
        rest._start, rest._length = self._start + place, self._length - place
        return rest

    def __len__(self) -> int:
        return self._length

    def read(self, start: int, end: int) -> bytes:
        """The octets from one place to before another; fewer where the file is cut short."""
        wanted = max(0, min(end, self._length) - start)
        return os.pread(self._descriptor.number, wanted, self._start + start)

    def pieces(
        self, start: int = 0, end: int | None = None, *, size: int = PIECE
    ) -> Iterator[bytes]:
        """The same in order, `size` octets at a time."""
        end = self._length if end is None else min(end, self._length)
        while start < end and (piece := self.read(start, min(start + size, end))):
            yield piece
            start += len(piece)

    def held(self) -> bytes:
        """All of them; of very many the `Beginning`."""
        if self._length > LARGE:
            return Beginning.of(self)
        return self.read(0, self._length)

    def digest(self) -> str:
        """Their SHA-256 in hexadecimal digits."""
        found = hashlib.sha256()
        for piece in self.pieces():
            found.update(piece)
        return found.hexdigest()


class Beginning(bytes):
    """The beginning of a large message, as any octets are; `whole` is all of it."""

    whole: FileOctets

    @classmethod
    def of(cls, whole: FileOctets) -> Beginning:
        """A megabyte of it: no honest header is longer."""
        beginning = cls(whole.read(0, PIECE))
        beginning.whole = whole
        return beginning


class SpoolFailed(Exception):
    """A file could not be written, which says nothing of the mail server, as OSError would."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.strerror = error.strerror


class Spool:
    """Takes octets in as they arrive, in a file without a name in `folder`.

    A folder that is missing is made, for its owner alone. Methods raise SpoolFailed. Where it is
    left by an error, the file is gone.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open until it is read
        except OSError as error:
            raise SpoolFailed(error) from error
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            # What is not written yet may fail to be written here once more.
            with suppress(OSError):
                self._file.close()

    def write(self, piece: bytes) -> None:
        """Add to the end."""
        try:
            self._file.write(piece)
        except OSError as error:
            raise SpoolFailed(error) from error
        self._length += len(piece)

    def beginning(self) -> Beginning:
        """What has been written; nothing may be added afterwards."""
        try:
            self._file.flush()
        except OSError as error:
            raise SpoolFailed(error) from error
        with self._file:
            return Beginning.of(FileOctets(self._file, 0, self._length))


def whole_of(content: bytes) -> bytes | FileOctets:
    """All octets of a message of which perhaps the beginning alone is in memory."""
    return content.whole if isinstance(content, Beginning) else content

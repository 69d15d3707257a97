"""What a worker did, written down before it matters: an append-only file a shift.

The database learns outcomes in batches; a worker that is killed in between leaves its
journal, from which another settles the rows in its hand (`campaigns.engine.settling`). Two
events a message, each a line:

    D <delivery> <attempt>            its content is about to leave
    R <delivery> <outcome as JSON>    what became of it

A delivery in hand without a line was never offered; with D alone nobody knows what the
server did with it. The file is mapped into memory, filled with zeros beforehand: a line is
copied there without a call of the system, and stands as soon as it is copied. The system keeps
it when the process is killed; one that was being copied then holds zeros, or has no end, and
counts for nothing. A machine that loses its power may lose what was written last.

The file is cut into generations, so that it stays small however long the shift: one is
deleted when the outcome of every delivery whose last event it holds is in the database.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import time
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from django.conf import settings

from campaigns.engine.outcomes import Finished
from campaigns.models import DeliveryState, SendShift
from mailhub.installation import make_private_folder

_GENERATION_BYTES = 1 << 20
# A line is shorter, whatever the server said.
_ROOM_FOR_A_LINE = 1 << 16
_ORPHANED_AFTER = timedelta(days=1)


def journal_folder() -> Path:
    """Where this machine's journals lie."""
    return make_private_folder(Path(settings.MAILHUB_DATA_DIR) / "journal")


@lru_cache(maxsize=64)
def _as_json(words: str) -> str:
    """Most replies are the same few."""
    return json.dumps(words)


class Journal:
    """One shift's events; to be written from any thread."""

    def __init__(self, name: str, *, generation_bytes: int = _GENERATION_BYTES) -> None:
        self.name = name
        self._folder = journal_folder()
        self._limit = generation_bytes
        self._lock = Lock()
        self._open_in: dict[int, int] = {}
        self._generation = 0
        self._counts: dict[int, int] = {}
        self._files: dict[int, mmap.mmap] = {}
        self._size = 0
        self._begin_generation()

    def started(self, delivery: int, attempt: int) -> None:
        """The first octet of its content leaves now."""
        self._write(delivery, b"D %d %d\n" % (delivery, attempt))

    def ended(self, finished: Finished) -> None:
        """What became of it."""
        delivery, attempt, state, reply, message_id, provider_id, held = finished
        words = f"{_as_json(reply)}, {encode_basestring_ascii(message_id)}"
        line = f'R {delivery} [{attempt}, "{state}", {words}, {_as_json(provider_id)}, {held}]\n'
        self._write(delivery, line.encode())

    def has_started(self, delivery: int) -> bool:
        """Whether its content may have left, and its outcome is not in the database."""
        return delivery in self._open_in

    def forget(self, deliveries: Iterable[int]) -> None:
        """These outcomes are in the database."""
        with self._lock:
            for delivery in deliveries:
                self._close_in_generation(delivery)
            for generation in [each for each in self._counts if each != self._generation]:
                if not self._counts[generation]:
                    self._remove(generation)

    def close(self) -> None:
        """Close the files, and keep them."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _close_in_generation(self, delivery: int) -> None:
        generation = self._open_in.pop(delivery, None)
        if generation is not None:
            self._counts[generation] -= 1

    def _begin_generation(self) -> None:
        self._generation += 1
        path = self._folder / f"{self.name}.{self._generation}"
        size = self._limit + _ROOM_FOR_A_LINE
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Its place on the disk is taken now: a mapped file cannot say that there is none.
            if os.write(file, bytes(size)) != size:
                raise OSError("the journal could not be made: the disk is full")
            self._files[self._generation] = mmap.mmap(file, size)
        finally:
            os.close(file)
        self._counts[self._generation] = 0
        self._size = 0

    def _write(self, delivery: int, line: bytes) -> None:
        """Add the line, which is the delivery's last event now."""
        with self._lock:
            if self._size > self._limit:
                self._begin_generation()
            end = self._size + len(line)
            self._files[self._generation][self._size : end] = line
            self._size = end
            self._close_in_generation(delivery)
            self._open_in[delivery] = self._generation
            self._counts[self._generation] += 1

    def _remove(self, generation: int) -> None:
        self._files.pop(generation).close()
        del self._counts[generation]
        (self._folder / f"{self.name}.{generation}").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_journal(name: str) -> dict[tuple[int, int], Finished | None] | None:
    """By delivery and attempt: what became of each one begun, None where that is not known.

    None in place of all where this machine has no such journal.
    """
    paths = _generations(name)
    if not paths:
        return None
    events: dict[tuple[int, int], Finished | None] = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            # What follows the last line end was being written, or is the room for more.
            for line in path.read_bytes().split(b"\n")[:-1]:
                _read_line(line, events)
    return events


def remove_journal(name: str) -> None:
    """Delete the journal; all that it says is in the database."""
    for path in _generations(name):
        path.unlink(missing_ok=True)


def remove_orphans() -> None:
    """Delete this machine's journals that no shift names and nobody wrote to for a day.

    A campaign that is deleted takes the rows of its shifts with it, and their names.
    """
    long_ago = time.time() - _ORPHANED_AFTER.total_seconds()
    old = [path for path in journal_folder().iterdir() if _changed_at(path) < long_ago]
    if not old:
        return
    named = set(SendShift.objects.exclude(journal="").values_list("journal", flat=True))
    for path in old:
        if path.stem not in named:
            path.unlink(missing_ok=True)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _generations(name: str) -> list[Path]:
    paths = journal_folder().glob(f"{name}.*")
    return sorted(paths, key=lambda path: int(path.suffix[1:]))


def _read_line(line: bytes, events: dict[tuple[int, int], Finished | None]) -> None:
    """A line that a power cut has torn is passed over."""
    kind, _, rest = line.partition(b" ")
    number, _, words = rest.partition(b" ")
    with contextlib.suppress(ValueError):
        if kind == b"D":
            events[int(number), int(words)] = None
        elif kind == b"R":
            attempt, state, *rest = json.loads(words)
            finished = Finished(int(number), attempt, DeliveryState(state), *rest)
            events[finished.delivery, attempt] = finished

"""Reads batches of whole messages, in a process of its own where that pays.

To read a message costs as much as to store it, and Python does one of the two at a time. So
while a batch is stored here, the next is read there: by a small process without Django that
is given octets and gives back letters, and that ends when its connection does, however the
process that started it ends. Where it is lost (killed for memory, say), batches are read here.

    python -m mailboxes.sync.reading_apart DESCRIPTOR
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from mailboxes.sync.letters import Letter, read_letter, with_vectors
from mailhub.mail.octets import Beginning

_ROOT = Path(__file__).resolve().parents[2]
# No batch takes so long; a process that does is given up.
_PATIENCE_SECONDS = 60.0
_GOODBYE_SECONDS = 5.0


class LetterReader:
    """One batch is in its hands at a time: `submit` it, then take the `result`.

    `salt` stands for the account of the messages.
    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._submitted: Sequence[bytes] | None = None
        self._connection: Connection | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_apart = False
        self._makes_vectors = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def process_id(self) -> int | None:
        """The number of the process that reads; None where batches are read here."""
        return self._process.pid if self._process and self._connection else None

    def go_apart(self, takes_vectors: Callable[[], bool]) -> None:
        """Read in a process of its own from now on; one that was lost is not started again.

        It makes the words of a database that takes vectors, too: here that is not worth it.
        """
        if self._process is not None:
            return
        self._makes_vectors = takes_vectors()
        near, far = Pipe()
        with far:
            self._process = subprocess.Popen(  # noqa: S603 - this module
                [sys.executable, "-m", __name__, str(far.fileno())],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
            )
        self._connection = near

    def submit(self, contents: Sequence[bytes]) -> None:
        """Begin to read a batch. One whose result nobody took is forgotten."""
        if self._submitted is not None:
            self.result()
        self._submitted = contents
        # Large ones lie in files of this process.
        self._is_apart = self._connection is not None and not any(
            isinstance(content, Beginning) for content in contents
        )
        if self._connection is not None and self._is_apart:
            try:
                self._connection.send((self._salt, self._makes_vectors, contents))
            except OSError:
                self.close()

    def result(self) -> list[Letter]:
        """What is in the messages of the batch, in their order."""
        assert self._submitted is not None, "submit a batch first"
        contents, self._submitted = self._submitted, None
        if self._connection is not None and self._is_apart:
            try:
                if self._connection.poll(_PATIENCE_SECONDS):
                    letters: list[Letter] = self._connection.recv()
                    return letters
            except (EOFError, OSError):
                pass
            self.close()
        return [read_letter(content, self._salt) for content in contents]

    def close(self) -> None:
        """End the process, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None and self._process.returncode is None:
            try:
                self._process.wait(_GOODBYE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def answer(connection: Connection) -> None:
    """Read what is asked for until nobody asks any more."""
    while True:
        try:
            salt, makes_vectors, contents = connection.recv()
            letters: Iterable[Letter] = (read_letter(content, salt) for content in contents)
            if makes_vectors:
                letters = map(with_vectors, letters)
            connection.send(list(letters))
        except (EOFError, OSError):
            return


if __name__ == "__main__":
    # Ctrl-C is for the process that asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answer(Connection(int(sys.argv[1])))

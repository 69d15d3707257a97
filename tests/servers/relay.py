"""A TCP relay that keeps what a client sends and counts what it gets."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Stands in front of a loopback port, to be used as a context manager.

    `sent` is what clients sent, `answered` the octets they got. With `together`, answers
    are held back from the moment its words were sent once until they were sent so many times:
    a client that waits for the first answer waits in vain.
    """

    def __init__(self, target: int, *, together: tuple[bytes, int] = (b"", 0)) -> None:
        self._target = target
        self._words, self._times = together
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._pumps: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._spoken = threading.Condition()
        self.port: int = self._listener.getsockname()[1]
        self.sent = b""
        self.answered = 0
        self._silent: frozenset[socket.socket] = frozenset()

    @property
    def commands(self) -> list[str]:
        """The command lines without their tags."""
        lines = self.sent.decode("utf-8", "replace").splitlines()
        return [line.partition(" ")[2] for line in lines]

    def hang_up(self) -> None:
        """End every connection that there is; new ones are taken all the same."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def fall_silent(self) -> None:
        """Let nothing through the connections that there are, and leave them open."""
        self._silent = frozenset(self._sockets)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Closing alone does not wake a thread that waits for a connection.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for pump in self._pumps:
            pump.join(5)
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            for source, target, is_client in ((client, server, True), (server, client, False)):
                pump = threading.Thread(
                    target=self._pump, args=(source, target, is_client), daemon=True
                )
                self._pumps.append(pump)
                pump.start()

    def _pump(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(65_536):
                self._note(octets, is_client)
                if source not in self._silent:
                    target.sendall(octets)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _note(self, octets: bytes, is_client: bool) -> None:
        with self._spoken:
            if is_client:
                self.sent += octets
                self._spoken.notify_all()
                return
            self.answered += len(octets)
            self._spoken.wait_for(lambda: not self._is_holding, timeout=5)

    @property
    def _is_holding(self) -> bool:
        return bool(self._words) and 0 < self.sent.count(self._words) < self._times

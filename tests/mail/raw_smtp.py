"""An SMTP server that says exactly what a test wants."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, Protocol, ServerSettings


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[ServerSettings]:
    """A server that says exactly what `talk` says, to one connection after another."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            try:
                talk(connection)
            except OSError:
                continue
            finally:
                connection.close()

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield ServerSettings(
            Protocol.SMTP,
            "127.0.0.1",
            listener.getsockname()[1],
            Encryption.NONE,
            timeout=2.0,
            guard=HostGuard.allowing(["127.0.0.0/8"]),
        )
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def greet(connection: socket.socket, *extensions: str) -> None:
    """Greet and answer EHLO."""
    connection.sendall(b"220 raw\r\n")
    connection.recv(1000)
    lines = ["raw", *extensions]
    last = len(lines) - 1
    for at, line in enumerate(lines):
        connection.sendall(f"250{' ' if at == last else '-'}{line}\r\n".encode())

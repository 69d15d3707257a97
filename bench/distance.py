"""A server on loopback that is as far away as one likes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue


@contextmanager
def at_distance(port: int, seconds: float) -> Iterator[int]:
    """A port behind which the server is so far away in each direction."""
    if not seconds:
        yield port
        return
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_forward_all, args=(listener, port, seconds), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _forward_all(listener: socket.socket, port: int, seconds: float) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        for source, target in ((client, server), (server, client)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            queue: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
            for act in (_read, _write):
                arguments = (source if act is _read else target, queue, seconds)
                threading.Thread(target=act, args=arguments, daemon=True).start()


def _read(source: socket.socket, queue: SimpleQueue[tuple[float, bytes]], seconds: float) -> None:
    octets = b"-"
    while octets:
        try:
            octets = source.recv(65_536)
        except OSError:
            octets = b""
        queue.put((time.perf_counter() + seconds, octets))


def _write(target: socket.socket, queue: SimpleQueue[tuple[float, bytes]], _: float) -> None:
    with suppress(OSError):
        while True:
            due, octets = queue.get()
            time.sleep(max(0.0, due - time.perf_counter()))
            if not octets:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(octets)

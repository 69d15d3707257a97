"""A mail server for large messages, which throws them away without looking at them.

    python -m bench.large_sink PORT

`smtp-sink` reads octet by octet, and takes a tenth of what loopback carries whoever sends.
This one looks for the end of a message in what a client can have sent last before it waits:
the final dot, and one group of commands behind it.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

BLOCK = 1024 * 1024
# More than the commands that a client may send behind a message.
_LOOKED_AT = 4096
_END = b"\r\n.\r\n"
_ANSWERS = {b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n", b"QUIT": b"221 Bye\r\n"}


class Conversation:
    """One connection, in a thread of its own."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._block = bytearray(BLOCK)
        self._commands = b""
        self._last = b""
        self._is_in_message = False

    def run(self) -> None:
        """Until the client goes."""
        # smtp-source goes without reading the last answer.
        with self._connection, contextlib.suppress(ConnectionError):
            self._connection.sendall(b"220 sink\r\n")
            while size := self._connection.recv_into(self._block):
                self._read(size)

    def _read(self, size: int) -> None:
        if self._is_in_message:
            self._last = self._last[-len(_END) :] + self._block[max(0, size - _LOOKED_AT) : size]
            end = self._last.find(_END)
            if end < 0:
                return
            self._commands = self._last[end + len(_END) :]
            self._is_in_message, self._last = False, b""
            self._answer(b"250 OK\r\n")
        else:
            self._commands += self._block[:size]
            self._answer(b"")

    def _answer(self, answers: bytes) -> None:
        while not self._is_in_message and b"\r\n" in self._commands:
            line, _, self._commands = self._commands.partition(b"\r\n")
            verb = line[:4].upper()
            self._is_in_message = verb == b"DATA"
            answers += b"354 Go\r\n" if self._is_in_message else _ANSWERS.get(verb, b"250 OK\r\n")
        if self._is_in_message:
            self._last, self._commands = b"\r\n" + self._commands, b""
        self._connection.sendall(answers)


def main() -> None:
    """Serve until it is killed."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=Conversation(connection).run, daemon=True).start()


if __name__ == "__main__":
    main()

"""An IMAP server that says what a test tells it to say: the ones that misbehave."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, Login, PasswordLogin, Protocol, ServerSettings
from mailhub.mail.stores.imap import ImapStore

GREETING = b"* OK ready\r\n"
# In an answer: close the connection, say nothing, or put the command's tag.
CLOSE = b"<close>"
SILENCE = b"<silence>"
TAG = b"<tag>"

_USUAL = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 UIDPLUS MOVE\r\n<tag> OK\r\n",
    "LOGIN": b"<tag> OK in\r\n",
    "EXAMINE": b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 4] ok\r\n<tag> OK\r\n",
    "SELECT": b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n<tag> OK [READ-WRITE]\r\n",
    "LOGOUT": b"* BYE bye\r\n<tag> OK\r\n<close>",
}


class ScriptedImapServer:
    """Answers each command by the longest beginning of it that `answers` knows.

    `received` holds the lines that clients sent, without their tags.
    """

    def __init__(self, answers: dict[str, bytes] | None = None, greeting: bytes = GREETING) -> None:
        self.answers = _USUAL | (answers or {})
        self.greeting = greeting
        self.received: list[bytes] = []
        self._released = threading.Event()
        script = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                script.speak(self)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def settings(
        self,
        *,
        login: Login | None = PasswordLogin("ada", "top-secret"),  # noqa: B008 - it is frozen
        encryption: Encryption = Encryption.NONE,
        timeout: float = 5,
    ) -> ServerSettings:
        """How to reach it."""
        return ServerSettings(
            Protocol.IMAP,
            "127.0.0.1",
            self.port,
            encryption,
            login,
            timeout,
            HostGuard.allowing(["127.0.0.0/8"]),
        )

    def speak(self, handler: socketserver.StreamRequestHandler) -> None:
        """One connection, until the client or the script ends it."""
        try:
            if not self._say(handler, self.greeting, b""):
                return
            for line in handler.rfile:
                tag, _, command = line.strip().partition(b" ")
                self.received.append(command or tag)
                if not self._say(handler, self._answer(command or tag, handler), tag):
                    return
        except OSError:
            # The client went away, which is its right.
            return

    def _answer(self, command: bytes, handler: socketserver.StreamRequestHandler) -> bytes:
        text = command.decode("utf-8", "replace")
        fitting = [known for known in self.answers if text.upper().startswith(known)]
        return self.answers[max(fitting, key=len)] if fitting else b"<tag> BAD unknown\r\n"

    def _say(self, handler: socketserver.StreamRequestHandler, said: bytes, tag: bytes) -> bool:
        before, silent, _ = said.partition(SILENCE)
        if silent:
            handler.wfile.write(before.replace(TAG, tag))
            self._released.wait(20)
            return False
        before, ends, _ = said.partition(CLOSE)
        handler.wfile.write(before.replace(TAG, tag))
        if ends:
            handler.connection.shutdown(socket.SHUT_RDWR)
            return False
        return True


@contextmanager
def opened(server: ScriptedImapServer) -> Iterator[ImapStore]:
    with server, ImapStore(server.settings()) as store:
        store.select("INBOX")
        yield store


@contextmanager
def dripping(said: bytes) -> Iterator[int]:
    """A port where a server says this to whoever comes, and then an octet every 50 ms."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def speak() -> None:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.sendall(said)
                while not ended.wait(0.05):
                    client.sendall(b"x")

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join()

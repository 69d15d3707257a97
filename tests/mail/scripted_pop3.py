"""A POP3 server that says what a test tells it to say: the ones that misbehave."""

from __future__ import annotations

import socketserver

from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, Login, PasswordLogin, Protocol, ServerSettings
from tests.mail.scripted_imap import CLOSE, SILENCE, ScriptedImapServer

# In an answer: say what stands behind it again and again.
ENDLESS = b"<endless>"

_USUAL = {
    "CAPA": b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.\r\n",
    "USER": b"+OK\r\n",
    "PASS": b"+OK in\r\n",
    "UIDL": b"+OK\r\n1 one\r\n2 two\r\n3 three\r\n.\r\n",
    "LIST": b"+OK\r\n1 20\r\n2 20\r\n3 20\r\n.\r\n",
    "RETR": b"+OK\r\nSubject: usual\r\n\r\nHi\r\n.\r\n",
    "DELE": b"+OK\r\n",
    "QUIT": b"+OK bye\r\n" + CLOSE,
}


class ScriptedPop3Server(ScriptedImapServer):
    """Answers each command by the longest beginning of it that `answers` knows."""

    def __init__(
        self, answers: dict[str, bytes] | None = None, greeting: bytes = b"+OK ready\r\n"
    ) -> None:
        super().__init__(greeting=greeting)
        self.answers = _USUAL | (answers or {})

    def settings(
        self,
        *,
        login: Login | None = PasswordLogin("ada", "top-secret"),  # noqa: B008 - it is frozen
        encryption: Encryption = Encryption.NONE,
        timeout: float = 5,
    ) -> ServerSettings:
        return ServerSettings(
            Protocol.POP3,
            "127.0.0.1",
            self.port,
            encryption,
            login,
            timeout,
            HostGuard.allowing(["127.0.0.0/8"]),
        )

    def release(self) -> None:
        """Hang up on those who wait in silence."""
        self._released.set()

    def speak(self, handler: socketserver.StreamRequestHandler) -> None:
        try:
            if not self._say(handler, self.greeting, b""):
                return
            for line in handler.rfile:
                self.received.append(line.strip())
                if not self._say(handler, self._reply(line.strip()), b""):
                    return
        except OSError:
            # The client went away, which is its right.
            return

    def _reply(self, command: bytes) -> bytes:
        text = command.decode("utf-8", "replace")
        fitting = [known for known in self.answers if text.upper().startswith(known)]
        return self.answers[max(fitting, key=len)] if fitting else b"-ERR unknown\r\n"

    def _say(self, handler: socketserver.StreamRequestHandler, said: bytes, tag: bytes) -> bool:
        before, endless, again = said.partition(ENDLESS)
        if not endless:
            return super()._say(handler, said, tag)
        handler.wfile.write(before)
        while not self._released.is_set():
            handler.wfile.write(again * max(1, 65_536 // len(again)))
        return False


__all__ = ["CLOSE", "ENDLESS", "SILENCE", "ScriptedPop3Server"]

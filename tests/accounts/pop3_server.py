"""A POP3 server (RFC 1939, with STLS and AUTH XOAUTH2) for logins alone, on a loopback port."""

from __future__ import annotations

import base64
import contextlib
import socketserver
import ssl
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self


class Pop3Server:
    """Knows one user by password and token. `tls` is "tls", "starttls" or "none".

    `refusal` is what it says to a login that fails; `greeting` is its first line.
    """

    def __init__(
        self,
        *,
        tls: str = "none",
        certificate: tuple[Path, Path] | None = None,
        user: str = "mary",
        password: str = "correct horse",
        refusal: str = "-ERR [AUTH] no",
        greeting: str = "+OK ready",
    ) -> None:
        self.tls, self.user, self.password = tls, user, password
        self.refusal, self.greeting = refusal, greeting
        self.context: ssl.SSLContext | None = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.commands: list[str] = []
        self._listener = _Listener(("127.0.0.1", 0), _Conversation)
        self._listener.pop3 = self
        self.port: int = self._listener.server_address[1]
        self._thread = Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    pop3: Pop3Server


class _Conversation(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Listener)
        self.pop3 = self.server.pop3
        self.user = ""
        with contextlib.suppress(OSError):
            if self.pop3.tls == "tls":
                self._wrap()
            self._say(self.pop3.greeting)
            self.file = self.request.makefile("rb")
            while line := self.file.readline():
                command = line.decode().rstrip("\r\n")
                self.pop3.commands.append(command.split()[0].upper())
                if not self._answer(command):
                    return

    def finish(self) -> None:
        self.request.close()

    def _answer(self, command: str) -> bool:
        verb, _, rest = command.partition(" ")
        match verb.upper():
            case "CAPA":
                self._say("+OK\r\nUSER\r\n" + ("STLS\r\n" if self._offers_tls() else "") + ".")
            case "STLS" if self._offers_tls():
                self._say("+OK")
                self._wrap()
                self.file = self.request.makefile("rb")
            case "USER":
                self.user = rest
                self._say("+OK")
            case "PASS":
                known = (self.user, rest) == (self.pop3.user, self.pop3.password)
                self._say("+OK welcome" if known else self.pop3.refusal)
            case "AUTH":
                words = base64.b64decode(rest.removeprefix("XOAUTH2 ")).decode()
                wanted = f"user={self.pop3.user}\x01auth=Bearer {self.pop3.password}\x01\x01"
                self._say("+OK welcome" if words == wanted else self.pop3.refusal)
            case "QUIT":
                self._say("+OK bye")
                return False
            case _:
                self._say("-ERR unknown")
        return True

    def _offers_tls(self) -> bool:
        return self.pop3.tls == "starttls" and not isinstance(self.request, ssl.SSLSocket)

    def _wrap(self) -> None:
        assert self.pop3.context is not None
        self.request = self.pop3.context.wrap_socket(self.request, server_side=True)

    def _say(self, text: str) -> None:
        self.request.sendall(f"{text}\r\n".encode())

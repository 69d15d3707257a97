"""A receiver of webhooks on a loopback port, which answers as a test tells it to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers.http_server import QuietHandler, QuietServer


@dataclass(frozen=True)
class Received:
    """One request, as it came; `connection` numbers the connection it came by."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def event(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded

    def is_signed_with(self, secret: str) -> bool:
        """As a receiver checks it, by the standard's words and none of our code."""
        key = base64.b64decode(secret.split("_", 1)[1])
        signed = b".".join(
            (
                self.headers["webhook-id"].encode(),
                self.headers["webhook-timestamp"].encode(),
                self.body,
            )
        )
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        given = [each.split(",") for each in self.headers["webhook-signature"].split(" ")]
        return any(version == "v1" and text == wanted for version, text in given)


@dataclass
class Script:
    """What to do with a request: answer, or `act`: "hang", "drip" or "close"."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    act: str = ""


class Receiver:
    """`scripts` are used up one request at a time; then `usual` is. `release` ends hanging."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.received: list[Received] = []
        self.scripts: deque[Script] = deque()
        self.usual = Script()
        self.connections = 0
        self._let_go = threading.Event()
        self._lock = threading.Lock()
        self._server = _Listener(self)
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            scheme = "https"
        self.port: int = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/hook?by=mailhub"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def types(self) -> list[str]:
        return [each.event["type"] for each in self.received]

    def release(self) -> None:
        self._let_go.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request: Received) -> Script:
        with self._lock:
            self.received.append(request)
            return self.scripts.popleft() if self.scripts else self.usual

    def count_connection(self) -> int:
        with self._lock:
            self.connections += 1
            return self.connections

    def wait(self, seconds: float) -> bool:
        """Whether it was released."""
        return self._let_go.wait(seconds)


class _Listener(QuietServer):
    def __init__(self, receiver: Receiver) -> None:
        super().__init__(_Handler)
        self.receiver = receiver


class _Handler(QuietHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    # Headers and body leave at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.number = self.server.receiver.count_connection()

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): text for name, text in self.headers.items()}
        script = receiver.take(Received(self.path, headers, body, self.number))
        self.close_connection = bool(script.act)
        if script.act == "hang":
            receiver.wait(30)
        elif script.act == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not receiver.wait(0.03):
                self.wfile.write(b"a")
                self.wfile.flush()
        elif script.act != "close":
            self._answer(script)
        if script.act == "close after":
            self.close_connection = True

    def _answer(self, script: Script) -> None:
        self.send_response(script.status)
        for name, text in script.headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(script.body)))
        self.end_headers()
        self.wfile.write(script.body)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def other_receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()

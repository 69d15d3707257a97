"""An OAuth2 provider on loopback ports: it renews tokens over TLS, and tells a mail server of them.

Access and refresh tokens are long and random enough to be looked for in logs and tables.
"""

from __future__ import annotations

import json
import secrets
import shutil
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.servers.certificates import make_certificate


@dataclass(frozen=True)
class Grant:
    """What a user's mail program holds."""

    user: str
    access_token: str
    refresh_token: str


class TokenServer:
    """Replaces the refresh token at each use, and refuses one that was used before.

    By user: `current` is the access token that holds good, `newest` the last grant. Users in
    `refused_users` get no renewal. `renewals` holds each request's fields by refresh token.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mailhub-oauth2-"))
        self.current: dict[str, str] = {}
        self.renewals: dict[str, dict[str, str]] = {}
        self.newest: dict[str, Grant] = {}
        self.refused_users: set[str] = set()
        self._users: dict[str, str] = {}
        self._lock = threading.Lock()
        certificate, key = make_certificate(self.folder, "127.0.0.1")
        self.ca_file = str(certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._tokens = _Listener(self)
        self._tokens.socket = context.wrap_socket(
            self._tokens.socket, server_side=True, do_handshake_on_connect=False
        )
        self._introspection = _Listener(self)
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            for server in (self._tokens, self._introspection)
        ]

    @property
    def token_url(self) -> str:
        return f"https://127.0.0.1:{self._tokens.server_address[1]}/token"

    @property
    def introspection_url(self) -> str:
        """A token is to be appended to it."""
        return f"http://127.0.0.1:{self._introspection.server_address[1]}/introspect?token="

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        for server in (self._tokens, self._introspection):
            server.shutdown()
            server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def grant(self, user: str) -> Grant:
        """New tokens for a user, as after a consent; older access tokens hold no longer."""
        grant = Grant(user, f"access-{secrets.token_hex(12)}", f"refresh-{secrets.token_hex(12)}")
        with self._lock:
            self.current[user] = grant.access_token
            self._users[grant.refresh_token] = user
            self.newest[user] = grant
        return grant

    def expire(self, grant: Grant) -> None:
        """Let the access token hold no longer."""
        with self._lock:
            self.current[grant.user] = "expired"

    def renew(self, fields: dict[str, str]) -> dict[str, Any] | None:
        """The answer to a refresh token, None for one that is not known any more."""
        used = fields.get("refresh_token", "")
        with self._lock:
            self.renewals[used] = fields
            user = self._users.get(used)
            if user is None or user in self.refused_users:
                return None
            del self._users[used]
        grant = self.grant(user)
        return {
            "access_token": grant.access_token,
            "refresh_token": grant.refresh_token,
            "expires_in": 3600,
            "token_type": "Bearer",
        }

    def introspect(self, token: str) -> dict[str, Any]:
        """RFC 7662 section 2.2."""
        with self._lock:
            user = next((user for user, known in self.current.items() if known == token), None)
        return {"active": user is not None, "username": user or ""}


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, provider: TokenServer) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.provider = provider

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that break off are what some tests are about."""


class _Answer(BaseHTTPRequestHandler):
    server: _Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        answer = self.server.provider.renew(fields)
        if answer is None:
            # Some providers repeat what they were sent.
            self._say(400, {"error": "invalid_grant", "error_description": body})
        else:
            self._say(200, answer)

    def do_GET(self) -> None:
        token = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
        self._say(200, self.server.provider.introspect(token))

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="session")
def token_server() -> Iterator[TokenServer]:
    server = TokenServer()
    server.start()
    yield server
    server.stop()

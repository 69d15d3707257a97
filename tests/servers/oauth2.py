"""An OAuth2 provider on loopback ports: it asks people for consent, gives and renews tokens over
TLS, and tells a mail server of them.

Access and refresh tokens are long and random enough to be looked for in logs and tables.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.servers.certificates import make_certificate
from tests.servers.http_server import QuietHandler, QuietServer


@dataclass(frozen=True)
class Grant:
    """What a user's mail program holds."""

    user: str
    access_token: str
    refresh_token: str


@dataclass
class Whims:
    """How the provider treats one user. `answer` and `claims` take the place of what it would say
    in a token answer and of the person; None leaves that out. `is_away` is trouble for now.
    `meanwhile` happens while a renewal is asked for.
    """

    answer: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    is_away: bool = False
    meanwhile: Callable[[], None] | None = None


class TokenServer:
    """Replaces the refresh token at each use, and refuses one that was used before.

    By user: `current` is the access token that holds good, `newest` the last grant, `whims` how
    the user is treated. Users in `refused_users` get no renewal. `renewals` holds each request's
    fields by refresh token. `clients` are secrets by client id, asked for of those listed;
    `redirect_uris` are all to which it sends people. `asked` is what came with the last person.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mailhub-oauth2-"))
        self.current: dict[str, str] = {}
        self.renewals: dict[str, dict[str, str]] = {}
        self.newest: dict[str, Grant] = {}
        self.refused_users: set[str] = set()
        self.whims: dict[str, Whims] = {}
        self.clients: dict[str, str] = {}
        self.redirect_uris: set[str] = set()
        self.asked: dict[str, str] = {}
        self._users: dict[str, str] = {}
        self._codes: dict[str, dict[str, str]] = {}
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
    def userinfo_url(self) -> str:
        return f"https://127.0.0.1:{self._tokens.server_address[1]}/userinfo"

    @property
    def authorize_url(self) -> str:
        """On another site than localhost, where the pages under test lie."""
        return f"http://127.0.0.1:{self._introspection.server_address[1]}/authorize"

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

    def revoke(self, user: str) -> None:
        """As a person does in the settings of the account: no token of theirs holds any longer."""
        with self._lock:
            self.current[user] = "revoked"
            self._users = {token: owner for token, owner in self._users.items() if owner != user}

    def consent(self, url: str, user: str, *, is_given: bool = True) -> str:
        """What a person does on the page at `url`; the address that the browser is sent to."""
        fields = dict(parse_qsl(urlsplit(url).query))
        assert url.startswith(f"{self.authorize_url}?")
        assert not self.mistake_of(fields)
        return self.decide({**fields, "user": user}, is_given=is_given)

    def mistake_of(self, fields: dict[str, str]) -> str:
        """What is wrong with how a person was sent here; "" for nothing."""
        self.asked = fields
        if self.redirect_uris and fields.get("redirect_uri") not in self.redirect_uris:
            return "redirect_uri_mismatch"
        if fields.get("response_type") != "code" or not fields.get("client_id"):
            return "invalid_request"
        challenge = fields.get("code_challenge", "")
        if fields.get("code_challenge_method") != "S256" or len(challenge) != 43:
            return "PKCE is required"
        return ""

    def decide(self, fields: dict[str, str], *, is_given: bool) -> str:
        """Where the person is sent once it has said yes or no (RFC 6749 section 4.1.2)."""
        answer = {"error": "access_denied"}
        if is_given:
            code = secrets.token_urlsafe(16)
            with self._lock:
                self._codes[code] = fields
            answer = {"code": code}
        return f"{fields['redirect_uri']}?{urlencode({**answer, 'state': fields['state']})}"

    def answer(self, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Of the token endpoint. Some providers repeat what they were sent."""
        client = fields.get("client_id", "")
        if client in self.clients and self.clients[client] != fields.get("client_secret"):
            return 401, {"error": "invalid_client"}
        with self._lock:
            owner = self._users.get(fields.get("refresh_token", ""), "")
        whims = self.whims.get(owner, Whims())
        if whims.is_away:
            return 503, {"error": "temporarily_unavailable"}
        if whims.meanwhile is not None:
            whims.meanwhile()
        by_code = fields.get("grant_type") == "authorization_code"
        given = self.redeem(fields) if by_code else self.renew(fields)
        if given is None:
            return 400, {"error": "invalid_grant", "error_description": urlencode(fields)}
        return 200, given

    def redeem(self, fields: dict[str, str]) -> dict[str, Any] | None:
        """The answer to a code, None for one that is not known or not this client's."""
        with self._lock:
            asked = self._codes.pop(fields.get("code", ""), None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != proof:
            return None
        if any(asked[name] != fields.get(name) for name in ("client_id", "redirect_uri")):
            return None
        grant = self.grant(asked["user"])
        claims = {
            "aud": asked["client_id"],
            "exp": time.time() + 600,
            "nonce": asked.get("nonce"),
            **self.claims_of(grant.user),
        }
        answer = {
            "access_token": grant.access_token,
            "refresh_token": grant.refresh_token,
            "expires_in": 3600,
            "token_type": "Bearer",
            "scope": asked["scope"],
            "id_token": _id_token(claims),
        }
        return _without_none({**answer, **self.whims.get(grant.user, Whims()).answer})

    def claims_of(self, user: str) -> dict[str, Any]:
        """What it says of a person."""
        return _without_none({"email": user, **self.whims.get(user, Whims()).claims})

    def owner_of(self, token: str) -> str | None:
        """The user whose access token this is, where it holds good."""
        with self._lock:
            return next((user for user, known in self.current.items() if known == token), None)

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
        answer = {
            "access_token": grant.access_token,
            "refresh_token": grant.refresh_token,
            "expires_in": 3600,
            "token_type": "Bearer",
        }
        return _without_none({**answer, **self.whims.get(user, Whims()).answer})

    def introspect(self, token: str) -> dict[str, Any]:
        """RFC 7662 section 2.2."""
        user = self.owner_of(token)
        return {"active": user is not None, "username": user or ""}


_CONSENT_PAGE = """<!doctype html><html lang="en">
<title>Consent</title><link rel="icon" href="data:,">
<h1>mailhub wants to read and send your mail</h1>
<form method="post" action="/authorize">{fields}
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form></html>"""


def _hidden(fields: dict[str, str]) -> str:
    """The form of the page: who the person is, and all that came with it."""
    hint = html.escape(fields.get("login_hint", ""))
    user = f'<label>Who are you? <input name="user" value="{hint}"></label>'
    kept = (
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(text)}">'
        for name, text in fields.items()
    )
    return user + "".join(kept)


def _id_token(claims: dict[str, Any]) -> str:
    """Its form is a signed one's; nobody who has it from us looks at the signature."""
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)]
    return ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"signature")
    )


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class _Listener(QuietServer):
    def __init__(self, provider: TokenServer) -> None:
        super().__init__(_Answer)
        self.provider = provider


class _Answer(QuietHandler):
    server: _Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = dict(parse_qsl(body))
        if self.path == "/authorize":
            is_given = fields.pop("decision") == "allow"
            return self._send_to(self.server.provider.decide(fields, is_given=is_given))
        return self._say(*self.server.provider.answer(fields))

    def do_GET(self) -> None:
        provider = self.server.provider
        fields = dict(parse_qsl(urlsplit(self.path).query))
        match urlsplit(self.path).path:
            case "/authorize":
                mistake = provider.mistake_of(fields)
                page = _CONSENT_PAGE.format(fields=_hidden(fields))
                self._show(400 if mistake else 200, mistake or page)
            case "/userinfo":
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                user = provider.owner_of(token)
                self._say(401 if user is None else 200, provider.claims_of(user or ""))
            case "/introspect":
                self._say(200, provider.introspect(fields.get("token", "")))
            case _:
                self._show(404, "")

    def _send_to(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _show(self, status: int, page: str) -> None:
        body = page.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="session")
def token_server() -> Iterator[TokenServer]:
    server = TokenServer()
    server.start()
    yield server
    server.stop()

"""Access tokens, renewed at a real token endpoint over TLS on a loopback port."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from accounts.models import Credential
from accounts.oauth2.refreshing import fresh_access_token
from mailhub.mail import errors
from mailhub.mail.host_guard import HostGuard
from mailhub.mail.token_endpoint import TokenEndpoint
from tests.people import People
from tests.servers.certificates import make_certificate
from tests.servers.http_server import QuietHandler, QuietServer

LOCAL = HostGuard.allowing(["127.0.0.0/8", "::1/128"])


class Provider(QuietServer):
    """Replaces the refresh token at each use, and refuses one that was used before."""

    def __init__(self, folder: Path) -> None:
        super().__init__(_Answer)
        certificate, key = make_certificate(folder, "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )
        self.ca_file = str(certificate)
        self.url = f"https://localhost:{self.server_address[1]}/token?tenant=common"
        self.expected = "refresh-0"
        self.requests: list[dict[str, Any]] = []
        self.instead: tuple[int, bytes] | None = None
        self.extra: dict[str, Any] = {"expires_in": 3600}
        self.slow = 0.0

    def endpoint(self, **changes: Any) -> TokenEndpoint:
        values: dict[str, Any] = {"url": self.url, "client_id": "client", "client_secret": "hidden",
                  "guard": LOCAL, "timeout": 5.0, "ca_file": self.ca_file}  # fmt: skip
        return TokenEndpoint(**(values | changes))


class _Answer(QuietHandler):
    server: Provider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.requests.append({"path": self.path, **fields})
        time.sleep(self.server.slow)
        if self.server.instead is not None:
            return self._say(*self.server.instead)
        if fields.get("refresh_token") != self.server.expected:
            return self._say(400, b'{"error": "invalid_grant"}')
        number = len(self.server.requests)
        self.server.expected = f"refresh-{number}"
        answer = {"access_token": f"access-{number}", "refresh_token": self.server.expected}
        return self._say(200, json.dumps(answer | self.server.extra).encode())

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", self.server.url)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def provider(tmp_path: Path, settings: Settings) -> Iterator[Provider]:
    server = Provider(tmp_path)
    settings.MAILHUB_CA_FILE = server.ca_file
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def credential_of(people: People, provider: Provider, **changes: Any) -> Credential:
    credential = Credential(tenant=people.tenant, user=people.member.user, kind="oauth2")
    credential.keep_secret({
        "access_token": "old", "refresh_token": "refresh-0", "client_id": "client",
        "client_secret": "hidden", "token_url": provider.url, "expires_at": 0.0, **changes,
    })  # fmt: skip
    credential.save()
    return credential


def test_expired_token_is_renewed_and_the_new_refresh_token_kept(
    people: People, provider: Provider
) -> None:
    credential = credential_of(people, provider)
    assert fresh_access_token(credential) == "access-1"
    assert provider.requests == [
        {
            "path": "/token?tenant=common",
            "grant_type": "refresh_token",
            "refresh_token": "refresh-0",
            "client_id": "client",
            "client_secret": "hidden",
        }
    ]
    assert fresh_access_token(credential) == "access-1"
    assert len(provider.requests) == 1
    stored = Credential.objects.get().reveal_secret()
    assert (stored["access_token"], stored["refresh_token"]) == ("access-1", "refresh-1")
    assert 3000 < stored["expires_at"] - time.time() <= 3600


@pytest.mark.parametrize(
    ("changes", "token"),
    [
        ({"expires_at": None}, "old"),
        ({"expires_at": 4_000_000_000}, "old"),
        ({"refresh_token": ""}, "old"),
        ({"access_token": "", "expires_at": None}, "access-1"),
        ({"expires_at": time.time() + 60}, "access-1"),
    ],
)
def test_when_a_token_is_renewed(
    people: People, provider: Provider, changes: dict[str, Any], token: str
) -> None:
    assert fresh_access_token(credential_of(people, provider, **changes)) == token


@pytest.mark.parametrize("expires_in", ["3600", None, "soon", -5, 1e300, [], float("nan")])
def test_lifetimes_as_providers_write_them(
    people: People, provider: Provider, expires_in: Any
) -> None:
    provider.extra = {"expires_in": expires_in}
    assert fresh_access_token(credential_of(people, provider)) == "access-1"
    assert Credential.objects.get().reveal_secret()["expires_at"] >= time.time() - 60


def test_unsaved_credential_is_not_stored(people: People, provider: Provider) -> None:
    given = {
        "emailAddress": "mary@acme.example",
        "hostname": "127.0.0.1",
        "port": 1,
        "oauth2": {"refreshToken": "refresh-0", "tokenUrl": provider.url},
    }
    response = people.member.api.post("/api/accounts/verify", given)
    assert response.json()["incoming"]["error"] == "connection_failed"
    assert not Credential.objects.exists()


@pytest.mark.parametrize(
    ("instead", "error"),
    [
        ((400, b'{"error": "invalid_grant"}'), errors.ConsentRevoked),
        ((400, b'{"error": "interaction_required"}'), errors.ConsentRevoked),
        ((401, b'{"error": "invalid_client"}'), errors.ClientRefused),
        ((400, b'{"error": "invalid_scope"}'), errors.LoginFailed),
        ((400, b'{"error": {"code": 400}}'), errors.LoginFailed),
        ((401, b"{}"), errors.LoginFailed),
        ((400, b'{"error": "temporarily_unavailable"}'), errors.LoginDeferred),
        ((429, b"{}"), errors.LoginDeferred),
        ((302, b"{}"), errors.ProtocolViolation),
        ((500, b"{}"), errors.LoginDeferred),
        ((503, b"<html>"), errors.LoginDeferred),
        ((200, b"{}"), errors.ProtocolViolation),
        ((200, b'{"access_token": 7}'), errors.ProtocolViolation),
        ((200, b"[]"), errors.ProtocolViolation),
        ((200, b"<html>"), errors.ProtocolViolation),
        ((200, b"[" * 60_000), errors.ProtocolViolation),
        ((200, b'{"access_token": "' + b"x" * 100_000), errors.ProtocolViolation),
    ],
)
def test_answers_that_bring_no_token(
    people: People, provider: Provider, instead: tuple[int, bytes], error: type[Exception]
) -> None:
    provider.instead = instead
    credential = credential_of(people, provider)
    with pytest.raises(error) as caught:
        fresh_access_token(credential)
    assert type(caught.value) is error
    assert "refresh-0" not in str(caught.value)
    assert len(provider.requests) == 1
    assert Credential.objects.get().reveal_secret()["refresh_token"] == "refresh-0"
    provider.instead = None
    assert fresh_access_token(credential).startswith("access-")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"guard": HostGuard()}, errors.HostNotAllowed),
        ({"url": "https://nowhere.invalid/token"}, errors.HostNotFound),
        ({"url": "http://localhost/token"}, errors.ConnectionFailed),
        ({"url": "https://localhost:99999/token"}, errors.ConnectionFailed),
        ({"url": "nonsense"}, errors.ConnectionFailed),
        ({"ca_file": None}, errors.ConnectionFailed),
    ],
)
def test_endpoints_that_are_not_asked(
    provider: Provider, changes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        provider.endpoint(**changes).refresh("refresh-0")
    assert provider.requests == []


def test_endpoint_that_says_nothing(provider: Provider) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}/token"
        with pytest.raises(errors.ServerTimeout):
            provider.endpoint(url=url, timeout=0.2).refresh("refresh-0")


@pytest.mark.django_db(transaction=True)
def test_many_at_once_use_a_refresh_token_once(transactional_db: None, provider: Provider) -> None:
    people = People()
    credential = credential_of(people, provider)
    provider.slow = 0.1
    tokens: list[str] = []

    def ask() -> None:
        try:
            tokens.append(fresh_access_token(credential))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tokens == ["access-1"] * 4
    assert len(provider.requests) == 1

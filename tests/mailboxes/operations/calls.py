"""Calls of the stateless operations, and the credentials that travel with them."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from rest_framework.test import APIClient

from tests.people import People
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.oauth2 import Grant, TokenServer
from tests.servers.smtp import SmtpReceiver

USER = "ada@example.org"
PASSWORD = "pässwort-7f3a9c"
MAIL = {"from": USER, "to": "bo@example.org", "subject": "Hello", "text": "Hi"}


def call(api: APIClient, operation: str, body: dict[str, Any], **headers: str) -> Any:
    """The response; a test looks at its status."""
    extra: dict[str, Any] = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return api.post(f"/api/{operation}", body, **extra)


def by_password(host: str, port: int, user: str, password: str, **changes: Any) -> dict[str, Any]:
    """`smtpCredentials` for a server on a loopback port, in the clear unless changed."""
    auth = {"user": user, "pass": password}
    return {"host": host, "port": port, "secure": False, "auth": auth} | changes


def of_receiver(receiver: SmtpReceiver, **changes: Any) -> dict[str, Any]:
    """How to reach an SMTP server under test."""
    plain = {} if receiver.certificate else {"allowPlaintext": True}
    return by_password(receiver.host, receiver.port, USER, PASSWORD) | plain | changes


def of_dovecot(user: DovecotUser, **changes: Any) -> dict[str, Any]:
    """How to reach a mailbox, over TLS; its server's certificate must be trusted."""
    port = user.server.tls_port
    return by_password("localhost", port, user.name, user.password) | {"secure": True} | changes


def by_token(grant: Grant, provider: TokenServer, **changes: Any) -> dict[str, Any]:
    """An `auth` by OAuth2."""
    return {
        "type": "OAuth2",
        "user": grant.user,
        "accessToken": grant.access_token,
        "refreshToken": grant.refresh_token,
        "clientId": "client-1",
        "clientSecret": "client-secret-51b2",
        "tokenUrl": provider.token_url,
        **changes,
    }


def trust(folder: Path, *servers: DovecotServer | TokenServer) -> str:
    """A file of all their certificates, for MAILHUB_CA_FILE."""
    bundle = folder / "trusted.pem"
    bundle.write_text("\n".join(Path(server.ca_file).read_text() for server in servers))
    return str(bundle)


def send(people: People, receiver: SmtpReceiver, credentials: Any = None, **changes: Any) -> Any:
    body = {
        "smtpCredentials": credentials or of_receiver(receiver),
        "mailOptions": {**MAIL, **changes},
    }
    return call(people.member.api, "send-email", body)


def received(receiver: SmtpReceiver) -> EmailMessage:
    (message,) = receiver.messages
    parsed = message_from_bytes(message.content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def refusal(response: Any) -> tuple[int, str, str]:
    """Status, code and the server's words; the body has the one shape."""
    body = response.json()
    assert set(body) == {"status", "error", "message", "details"}
    assert (body["status"], PASSWORD in response.content.decode()) == ("error", False)
    return response.status_code, body["error"], body["details"].get("reply", "")

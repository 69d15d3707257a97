"""A mail provider as Google is one: consent pages, and mail servers that its tokens open."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from mailhub.mail.server import Encryption
from tests.servers.certificates import make_certificate
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.oauth2 import TokenServer
from tests.servers.smtp import SmtpReceiver

CLIENT_ID = "mailhub-at-acme"
CLIENT_SECRET = "client-secret-9c41d7"
RETURN_URL = "https://app.example/mail/connected"
_numbers = itertools.count(1)


class MailProvider:
    """`tokens` asks for consent and gives tokens, `mailboxes` and `outgoing` take them.

    `settings` is MAILHUB_OAUTH2 of an installation that is registered there, as `acme`.
    """

    def __init__(
        self, tokens: TokenServer, mailboxes: DovecotServer, outgoing: SmtpReceiver, ca_file: str
    ) -> None:
        self.tokens, self.mailboxes, self.outgoing = tokens, mailboxes, outgoing
        self.ca_file = ca_file
        self.settings = {
            "ACME_NAME": "Acme Mail",
            "ACME_CLIENT_ID": CLIENT_ID,
            "ACME_CLIENT_SECRET": CLIENT_SECRET,
            "ACME_AUTHORIZE_URL": tokens.authorize_url,
            "ACME_TOKEN_URL": tokens.token_url,
            "ACME_SCOPES": "openid email mail.all",
            "ACME_PARAMETERS": "access_type=offline",
            "ACME_INCOMING": f"imaps://localhost:{mailboxes.tls_port}",
            "ACME_OUTGOING": f"smtps://127.0.0.1:{outgoing.port}",
        }

    def new_mailbox(self, name: str = "ada") -> DovecotUser:
        """An empty one; nobody knows its password."""
        return self.mailboxes.add_user(f"{name}{next(_numbers)}@acme.example", "never-asked-for")


@pytest.fixture
def mail_provider(
    token_server: TokenServer,
    oauth2_dovecot: DovecotServer,
    start_smtp_receiver: Callable[..., SmtpReceiver],
    tmp_path: Path,
    settings: Settings,
) -> Iterator[MailProvider]:
    """A provider at which the installation under test is registered, and whom it trusts."""
    certificate, key = make_certificate(tmp_path, "127.0.0.1")
    outgoing = start_smtp_receiver(encryption=Encryption.TLS, certificate=certificate, key=key)
    outgoing.tokens = token_server.current
    trusted = tmp_path / "trusted.pem"
    files = (token_server.ca_file, oauth2_dovecot.ca_file, certificate)
    trusted.write_text("\n".join(Path(file).read_text() for file in files))
    provider = MailProvider(token_server, oauth2_dovecot, outgoing, str(trusted))
    token_server.clients = {CLIENT_ID: CLIENT_SECRET}
    token_server.redirect_uris = {f"{settings.MAILHUB_PUBLIC_URL}/oauth2/acme/callback"}
    settings.MAILHUB_CA_FILE = provider.ca_file
    settings.MAILHUB_OAUTH2 = provider.settings
    settings.MAILHUB_OAUTH2_RETURN_URLS = [RETURN_URL]
    yield provider
    token_server.clients, token_server.redirect_uris = {}, set()
    token_server.whims.clear()
    token_server.refused_users.clear()

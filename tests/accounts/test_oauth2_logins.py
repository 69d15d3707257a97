"""Real servers let an account in by its access token, and ask the provider whether it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import CredentialKind, EmailAccount
from accounts.verification import verify_account
from tests.people import People
from tests.servers.dovecot import DovecotServer
from tests.servers.oauth2 import TokenServer
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def server(request: pytest.FixtureRequest, settings: Settings) -> DovecotServer:
    """The one named by the test, whose certificate is trusted."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, DovecotServer)
    settings.MAILHUB_CA_FILE = found.ca_file
    return found


def account_of(people: People, tokens: TokenServer, user: str, **fields: Any) -> EmailAccount:
    grant = tokens.grant(user)
    account = people.connect_account(people.member, email_address=user, **fields)
    secret = {"access_token": grant.access_token}
    account.replace_secret(CredentialKind.OAUTH2, secret)
    account.save()
    return account


@pytest.mark.parametrize(
    "server", ["oauth2_dovecot", "oauthbearer_dovecot"], indirect=True, ids=["both", "oauthbearer"]
)
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_mailbox_opens_by_a_token(
    people: People,
    server: DovecotServer,
    token_server: TokenServer,
    protocol: str,
    tmp_path: Path,
) -> None:
    name = tmp_path.name.replace("_", "").lower()
    user = server.add_user(f"{name}@acme.example", "never-asked-for").name
    port = server.tls_port if protocol == "imap" else server.pop3_tls_port
    account = account_of(
        people, token_server, user, protocol=protocol, hostname="localhost", port=port,
        smtp_hostname="",
    )  # fmt: skip
    assert verify_account(account).incoming.works
    token_server.revoke(user)
    refused = verify_account(account).incoming
    assert (refused.works, refused.error) == (False, "login_failed")


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_server_that_sends_lets_in_by_a_token(
    people: People,
    token_server: TokenServer,
    start_smtp_receiver: Callable[..., SmtpReceiver],
    mechanism: str,
) -> None:
    user = f"sender-{mechanism.lower()}@acme.example"
    token_server.grant(user)
    receiver = start_smtp_receiver(tokens=token_server.current, mechanisms=frozenset({mechanism}))
    account = account_of(
        people, token_server, user, port=1, smtp_port=receiver.port, smtp_encryption="none"
    )
    found = verify_account(account).outgoing
    assert found is not None
    assert found.works
    assert f"AUTH {mechanism}" in receiver.commands
    token_server.revoke(user)
    found = verify_account(account).outgoing
    assert found is not None
    assert (found.works, found.error) == (False, "login_failed")

"""From an account to the settings that stores and transports take."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from accounts.connections import incoming_settings, outgoing_settings
from accounts.models import Credential
from mailhub.errors import Conflict, InvalidInput
from mailhub.mail.server import Encryption, OAuth2Login, PasswordLogin, Protocol
from tests.people import People


def test_incoming_and_outgoing(people: People, settings: Settings) -> None:
    settings.MAILHUB_MAIL_TIMEOUT = 7.0
    account = people.connect_account(
        people.member, protocol="pop3", port=110, encryption="starttls", smtp_port=465
    )
    incoming, outgoing = incoming_settings(account), outgoing_settings(account)
    login = PasswordLogin("mary@acme.example", "correct horse")
    assert (incoming.protocol, incoming.address) == (Protocol.POP3, "127.0.0.1:110")
    assert (incoming.encryption, incoming.login) == (Encryption.STARTTLS, login)
    assert (outgoing.protocol, outgoing.address) == (Protocol.SMTP, "127.0.0.1:465")
    assert (outgoing.encryption, outgoing.login) == (Encryption.TLS, login)
    assert incoming.timeout == outgoing.timeout == 7.0
    assert "correct horse" not in f"{incoming!r}{outgoing!r}"


def test_outgoing_login_may_have_a_name_of_its_own(people: People) -> None:
    account = people.connect_account(people.member, smtp_username="relay-user")
    assert outgoing_settings(account).login == PasswordLogin("relay-user", "correct horse")


def test_account_that_cannot_send(people: People) -> None:
    account = people.connect_account(people.member, smtp_hostname="")
    with pytest.raises(InvalidInput) as caught:
        outgoing_settings(account)
    assert caught.value.code == "no_outgoing_server"


def test_secret_that_does_not_open(people: People) -> None:
    account = people.connect_account(people.member)
    Credential.objects.update(tenant=people.other_tenant)
    account.refresh_from_db()
    with pytest.raises(Conflict) as caught:
        incoming_settings(account)
    assert caught.value.code == "credential_unreadable"


def test_keys_of_aws_are_no_login(people: People) -> None:
    account = people.connect_account(people.member)
    Credential.objects.update(kind="aws")
    account.refresh_from_db()
    with pytest.raises(InvalidInput):
        incoming_settings(account)


def test_plaintext_only_where_the_installation_allows_it(
    people: People, settings: Settings
) -> None:
    account = people.connect_account(people.member, encryption="none", smtp_encryption="none")
    assert incoming_settings(account).encryption is Encryption.NONE
    settings.MAILHUB_ALLOW_PLAINTEXT = False
    for settings_of in (incoming_settings, outgoing_settings):
        with pytest.raises(InvalidInput) as caught:
            settings_of(account)
        assert caught.value.code == "plaintext_not_allowed"


def test_token_is_asked_for_at_each_new_connection(people: People) -> None:
    account = people.connect_account(people.member)
    credential = account.credential
    credential.kind = "oauth2"
    credential.keep_secret({"access_token": "first"})
    credential.save()
    login = incoming_settings(account).login
    assert isinstance(login, OAuth2Login)
    assert login.access_token() == "first"
    credential.keep_secret({"access_token": "second"})
    credential.save()
    assert login.access_token() == "second"

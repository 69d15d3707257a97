"""A permission that is gone disables its accounts at once; a provider in trouble does not."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from accounts.models import Credential, CredentialKind, EmailAccount, Event
from accounts.oauth2.refreshing import fresh_access_token
from mailhub.mail.errors import ConnectionFailed, ConsentRevoked, LoginDeferred, MailError
from tests.accounts.hooked import Hooked
from tests.people import People
from tests.servers.mail_provider import CLIENT_ID, MailProvider
from tests.servers.oauth2 import Grant, Whims

WORDS = (
    "The permission that was given at Acme Mail was revoked or has run out: "
    "connect the account again."
)


def connect(people: People, provider: MailProvider, **changes: object) -> EmailAccount:
    """An account whose access token has run out."""
    user = provider.new_mailbox()
    grant = provider.tokens.grant(user.name)
    account = people.connect_account(people.member, email_address=user.name)
    secret = {
        "access_token": "expired",
        "refresh_token": grant.refresh_token,
        "expires_at": 0.0,
        **changes,
    }
    of = "" if "token_url" in changes else "acme"
    account.replace_secret(CredentialKind.OAUTH2, secret, provider=of)
    account.save()
    return account


def grant_of(provider: MailProvider, account: EmailAccount) -> Grant:
    return provider.tokens.newest[account.email_address]


def test_the_account_is_disabled_with_a_reason_and_an_event(
    people: People, mail_provider: MailProvider, hooked: Hooked
) -> None:
    account, other = connect(people, mail_provider), connect(people, mail_provider)
    mail_provider.tokens.revoke(account.email_address)
    for _ in range(2):
        with pytest.raises(ConsentRevoked) as caught:
            fresh_access_token(account.credential)
        assert caught.value.message == WORDS
    account.refresh_from_db()
    assert (account.is_enabled, account.disabled_reason) == (False, WORDS)
    [event] = Event.objects.filter(type="account.disabled")
    assert event.data == {"accountId": str(account.pk), "code": "consent_revoked", "reason": WORDS}
    other.refresh_from_db()
    assert other.is_enabled


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_tells_of_it(
    transactional_db: None, mail_provider: MailProvider
) -> None:
    people = People()
    Hooked(people, _Nowhere(), ["account.disabled"])  # type: ignore[arg-type]  # nobody posts
    account = connect(people, mail_provider)
    mail_provider.tokens.revoke(account.email_address)
    refusals: list[str] = []

    def ask() -> None:
        try:
            fresh_access_token(account.credential)
        except ConsentRevoked as error:
            refusals.append(error.message)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refusals == [WORDS] * 4
    assert Event.objects.count() == 1


class _Nowhere:
    url = "https://127.0.0.1:1/"


def test_a_provider_in_trouble_leaves_the_account_as_it_is(
    people: People, mail_provider: MailProvider, settings: Settings
) -> None:
    account = connect(people, mail_provider)
    mail_provider.tokens.whims[account.email_address] = Whims(is_away=True)

    def refused(error: type[MailError], words: str) -> None:
        with pytest.raises(error, match=words):
            fresh_access_token(account.credential)
        account.refresh_from_db()
        assert account.is_enabled

    refused(LoginDeferred, "no access token for now")
    mail_provider.tokens.whims.clear()
    mail_provider.tokens.clients[CLIENT_ID] = "a new one"
    refused(LoginDeferred, "does not accept this installation's client id or secret")
    acme = mail_provider.settings
    settings.MAILHUB_OAUTH2 = {**acme, "ACME_TOKEN_URL": "https://127.0.0.1:1/token"}
    refused(ConnectionFailed, "could not be reached")
    settings.MAILHUB_OAUTH2 = {}
    refused(LoginDeferred, "has no settings any more")
    # The new secret in the settings is all that it takes.
    settings.MAILHUB_OAUTH2 = {**acme, "ACME_CLIENT_SECRET": "a new one"}
    token = fresh_access_token(account.credential)
    assert token == grant_of(mail_provider, account).access_token


def test_tokens_that_a_client_of_the_api_gave(
    people: People, mail_provider: MailProvider, settings: Settings
) -> None:
    tokens = mail_provider.tokens
    url, settings.MAILHUB_OAUTH2 = tokens.token_url, {}
    account = connect(people, mail_provider, token_url=url, client_id="own", client_secret="x")
    assert fresh_access_token(account.credential) == grant_of(mail_provider, account).access_token
    tokens.revoke(account.email_address)
    account.credential.keep_secret({**account.credential.reveal_secret(), "expires_at": 0.0})
    account.credential.save()
    with pytest.raises(ConsentRevoked):
        fresh_access_token(account.credential)
    account.refresh_from_db()
    assert account.disabled_reason.startswith("The provider accepts the refresh token")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_revoked", [False, True])
def test_a_permission_given_anew_meanwhile_is_kept(
    transactional_db: None, mail_provider: MailProvider, is_revoked: bool
) -> None:
    people = People()
    account = connect(people, mail_provider)
    tokens = mail_provider.tokens

    def give_anew() -> None:
        if is_revoked:
            tokens.revoke(account.email_address)
        try:
            row = Credential.objects.get(pk=account.credential_id)
            secret = {"access_token": "new", "refresh_token": "new", "expires_at": 4e9}
            row.keep_secret(secret)
            row.save()
        finally:
            connection.close()

    tokens.whims[account.email_address] = Whims(meanwhile=give_anew)
    if is_revoked:
        with pytest.raises(LoginDeferred, match="given anew a moment ago"):
            fresh_access_token(account.credential)
    else:
        fresh_access_token(account.credential)
    assert Credential.objects.get().reveal_secret()["refresh_token"] == "new"
    assert fresh_access_token(account.credential) == "new"
    account.refresh_from_db()
    assert account.is_enabled


def test_a_password_in_place_of_the_permission_forgets_the_provider(
    people: People, mail_provider: MailProvider
) -> None:
    account = connect(people, mail_provider)
    path = f"/api/accounts/{account.pk}"
    assert people.member.api.patch(path, {"password": "a new one"}).status_code == 200
    credential = Credential.objects.get()
    assert (credential.kind, credential.provider) == ("password", "")

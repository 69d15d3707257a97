"""Accounts that are connected again: with a permission in place of a password, or a new one."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import Credential, EmailAccount
from accounts.oauth2.refreshing import fresh_access_token, revoked_words
from tests.pages.consent.conftest import CONNECT, consent, told
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.mail_provider import MailProvider


def test_an_account_with_a_password_goes_over_to_the_permission(
    client: Client, people: People, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    old = people.connect_account(
        people.member,
        email_address=mailbox.name.upper(),
        is_enabled=False,
        protocol="pop3",
        delete_from_server_after_days=7,
    )
    people.connect_account(people.teammate, email_address=mailbox.name)
    page = told(client, consent(client, mail_provider, mailbox.name))
    assert "is connected again." in page
    account = EmailAccount.objects.get(user=people.member.user)
    assert (account.pk, account.is_enabled) == (old.pk, True)
    assert (account.hostname, account.credential.provider) == ("localhost", "acme")
    assert (account.protocol, account.delete_from_server_after_days) == ("imap", None)
    assert Credential.objects.get(email_accounts=account).pk == old.credential_id


def test_a_revoked_permission_disables_at_once_and_can_be_given_again(
    client: Client, people: People, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    told(client, consent(client, mail_provider, mailbox.name))
    account = EmailAccount.objects.get()
    # As an account of a mailbox that several people share does.
    EmailAccount.objects.filter(pk=account.pk).update(sync_interval=600)
    shared = EmailAccount.objects.get()
    shared.pk, shared.email_address, shared._state.adding = None, "team@acme.example", True
    shared.pk = type(shared)._meta.pk.get_default()
    shared.save()
    revoke(mail_provider, account)
    assert (
        list(EmailAccount.objects.values_list("is_enabled", "disabled_reason"))
        == [(False, revoked_words("acme"))] * 2
    )
    page = client.get("/mail").text
    assert "The permission that was given at Acme Mail was revoked or has run out" in page
    assert f'href="{CONNECT}?account={account.pk}">Reconnect' in page
    assert f'href="{CONNECT}?account={account.pk}"' in client.get("/").text
    settings_page = client.get(f"/mail/{account.pk}/settings").text
    assert "Reconnect with Acme Mail" in settings_page
    back = consent(client, mail_provider, mailbox.name, f"{CONNECT}?account={account.pk}")
    assert mail_provider.tokens.asked["login_hint"] == mailbox.name
    assert f"{mailbox.name} is connected again." in told(client, back)
    assert (
        list(EmailAccount.objects.values_list("is_enabled", "disabled_reason")) == [(True, "")] * 2
    )
    assert EmailAccount.objects.get(pk=account.pk).sync_interval == 600


def revoke(provider: MailProvider, account: EmailAccount) -> None:
    """As a person does at the provider; then a token is wanted."""
    provider.tokens.revoke(account.username)
    credential = account.credential
    credential.keep_secret({**credential.reveal_secret(), "expires_at": 0.0})
    credential.save()
    with pytest.raises(Exception, match="connect the account again"):
        fresh_access_token(credential)


def test_another_mailbox_is_not_taken_for_the_one_to_be_connected_again(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    told(client, consent(client, mail_provider, mailbox.name))
    account = EmailAccount.objects.get()
    other = mail_provider.new_mailbox("bob")
    before = Credential.objects.get().secret
    back = consent(client, mail_provider, other.name, f"{CONNECT}?account={account.pk}")
    page = told(client, back)
    assert f"as {other.name}, and this account is {mailbox.name}: nothing was changed" in page
    assert Credential.objects.get().secret == before


@pytest.mark.parametrize("account", ["nonsense", "00000000-0000-4000-8000-000000000000"])
def test_nobody_connects_what_is_not_theirs(
    client: Client, people: People, mail_provider: MailProvider, account: str
) -> None:
    assert client.get(f"{CONNECT}?account={account}").status_code == 404
    foreign = people.connect_account(people.teammate)
    assert client.get(f"{CONNECT}?account={foreign.pk}").status_code == 404
    people.delegate(foreign, people.member)
    assert client.get(f"{CONNECT}?account={foreign.pk}").status_code == 403

"""A token that is refused before its time, or whose permission is gone: in a sync, and in sending.

A new token is asked for at once; where there is none, the account is disabled with a clear reason.
"""

from __future__ import annotations

import pytest

from accounts.models import CredentialKind, EmailAccount, Event
from mailboxes.models import OutboxMessage, SyncRun, SyncState
from mailboxes.outbox.sending import send_due
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import carry_out
from tests.accounts.hooked import Hooked
from tests.people import People
from tests.servers.mail_provider import MailProvider
from tests.servers.oauth2 import Grant, Whims
from tests.servers.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def grant(mail_provider: MailProvider) -> Grant:
    return mail_provider.tokens.grant(mail_provider.new_mailbox().name)


@pytest.fixture
def account(people: People, mail_provider: MailProvider, grant: Grant) -> EmailAccount:
    account = people.connect_account(
        people.member,
        email_address=grant.user,
        hostname="localhost",
        port=mail_provider.mailboxes.tls_port,
        smtp_port=mail_provider.outgoing.port,
        smtp_encryption="tls",
    )
    secret = {
        "access_token": grant.access_token,
        "refresh_token": grant.refresh_token,
        "expires_at": 4e9,
    }
    account.replace_secret(CredentialKind.OAUTH2, secret, provider="acme")
    account.save()
    return account


def sync(account: EmailAccount) -> tuple[str, str]:
    """How a pass ends, and with which code."""
    run = request_sync(account, enqueue=False).run
    carry_out(run.pk)
    run = SyncRun.objects.get(pk=run.pk)
    return run.state, run.error_code


def is_enabled(account: EmailAccount) -> bool:
    return EmailAccount.objects.get(pk=account.pk).is_enabled


def test_a_token_that_is_refused_before_its_time_is_renewed(
    account: EmailAccount, mail_provider: MailProvider, grant: Grant
) -> None:
    assert sync(account) == (SyncState.COMPLETED, "")
    mail_provider.tokens.expire(grant)
    assert sync(account) == (SyncState.COMPLETED, "")
    assert is_enabled(account)


def test_a_revoked_permission_is_not_tried_three_times(
    account: EmailAccount, people: People, mail_provider: MailProvider, receiver: Receiver
) -> None:
    Hooked(people, receiver, ["account.disabled"])
    assert sync(account) == (SyncState.COMPLETED, "")
    mail_provider.tokens.revoke(account.username)
    # The mail server is the first that knows; the provider, asked next, says why.
    assert sync(account) == (SyncState.FAILED, "consent_revoked")
    assert not is_enabled(account)
    shown = people.member.api.get(f"/api/accounts/{account.pk}").json()
    assert not shown["isEnabled"]
    assert "was revoked or has run out: connect the account again" in shown["disabledReason"]
    assert sync(account) == (SyncState.FAILED, "account_disabled")
    assert Event.objects.get().data["code"] == "consent_revoked"


def send(people: People, account: EmailAccount) -> OutboxMessage:
    body = {
        "accountId": str(account.pk),
        "to": ["bo@example.org"],
        "subject": "Hello",
        "textBody": "Hi.",
    }
    assert people.member.api.post("/api/compose", body).status_code == 202
    send_due()
    return OutboxMessage.objects.latest("pk")


def test_a_message_leaves_with_a_new_token_where_the_old_one_is_refused(
    account: EmailAccount, people: People, mail_provider: MailProvider, grant: Grant
) -> None:
    assert send(people, account).state == "sent"
    mail_provider.tokens.expire(grant)
    sent = send(people, account)
    assert (sent.state, sent.tries) == ("sent", 1)
    assert len(mail_provider.outgoing.messages) == 2
    # The next ones use the new token, and ask the provider for no other.
    renewals = len(mail_provider.tokens.renewals)
    assert send(people, account).state == "sent"
    assert len(mail_provider.tokens.renewals) == renewals


def test_a_message_finds_a_permission_revoked(
    account: EmailAccount, people: People, mail_provider: MailProvider
) -> None:
    mail_provider.tokens.revoke(account.username)
    failed = send(people, account)
    assert (failed.state, failed.error_code) == ("failed", "consent_revoked")
    assert not is_enabled(account)


def test_a_server_that_takes_no_token_is_not_asked_for_ever(
    account: EmailAccount, people: People, mail_provider: MailProvider
) -> None:
    mail_provider.outgoing.tokens = {account.username: "another"}
    before = len(mail_provider.tokens.renewals)
    assert [send(people, account).error_code for _ in range(3)] == ["login_failed"] * 3
    assert len(mail_provider.tokens.renewals) == before + 1
    assert is_enabled(account)


def test_a_provider_in_trouble_disables_nothing(
    account: EmailAccount, mail_provider: MailProvider
) -> None:
    mail_provider.tokens.whims[account.username] = Whims(is_away=True)
    account.credential.keep_secret({**account.credential.reveal_secret(), "expires_at": 0.0})
    account.credential.save()
    for _ in range(4):
        assert sync(account) == (SyncState.FAILED, "login_deferred")
    assert is_enabled(account)
    mail_provider.tokens.whims.clear()
    assert sync(account) == (SyncState.COMPLETED, "")

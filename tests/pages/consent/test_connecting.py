"""Connecting an account by a provider's consent page, over a real provider and mail servers."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import ConsentRequest, EmailAccount
from mailboxes.models import SyncRun, SyncState
from tests.pages.conftest import Visit, log_in
from tests.pages.consent.conftest import CONNECT, consent, set_out, told
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.mail_provider import CLIENT_ID, CLIENT_SECRET, MailProvider
from tests.servers.oauth2 import Whims


def test_the_person_is_sent_with_all_that_protects_the_answer(
    client: Client, mail_provider: MailProvider
) -> None:
    first, second = (
        dict(parse_qsl(urlsplit(set_out(client, f"{CONNECT}?email=ada@acme.example")).query))
        for _ in range(2)
    )
    assert {name: first[name] for name in first.keys() - {"state", "nonce", "code_challenge"}} == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": "http://localhost:8000/oauth2/acme/callback",
        "scope": "openid email mail.all",
        "code_challenge_method": "S256",
        "access_type": "offline",
        "login_hint": "ada@acme.example",
    }
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]
    stored = str(list(ConsentRequest.objects.values()))
    assert first["state"] not in stored
    assert CLIENT_SECRET not in str(first)


def test_a_permission_becomes_an_account_that_is_synced(
    client: Client, people: People, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    page = told(client, consent(client, mail_provider, mailbox.name))
    assert f"{mailbox.name} is connected." in page
    account = EmailAccount.objects.get()
    assert (account.user, account.tenant) == (people.member.user, people.tenant)
    assert (account.email_address, account.username) == (mailbox.name, mailbox.name)
    assert (account.hostname, account.port) == ("localhost", mailbox.server.tls_port)
    assert (account.smtp_port, account.smtp_encryption) == (mail_provider.outgoing.port, "tls")
    assert (account.credential.kind, account.credential.provider) == ("oauth2", "acme")
    grant = mail_provider.tokens.newest[mailbox.name]
    secret = account.credential.reveal_secret()
    assert secret.pop("expires_at") > timezone.now().timestamp() + 3000
    assert secret == {"access_token": grant.access_token, "refresh_token": grant.refresh_token}
    assert SyncRun.objects.get().state == SyncState.QUEUED
    assert "AUTH OAUTHBEARER" in mail_provider.outgoing.commands
    assert not ConsentRequest.objects.exists()


def test_nothing_shows_a_token(
    client: Client,
    people: People,
    mail_provider: MailProvider,
    mailbox: DovecotUser,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    back = consent(client, mail_provider, mailbox.name)
    pages = [told(client, back), client.get("/mail").text]
    account = EmailAccount.objects.get()
    pages.append(client.get(f"/mail/{account.pk}/settings").text)
    pages += [
        people.member.api.get(f"/api/{path}").content.decode()
        for path in ("accounts", "credentials", f"accounts/{account.pk}")
    ]
    people.owner.user.is_staff = people.owner.user.is_superuser = True
    people.owner.user.save()
    operator = log_in(people.owner)
    for path in ("", f"{account.credential_id}/change/"):
        answer = operator.get(f"/admin/accounts/credential/{path}")
        assert answer.status_code == 200
        assert "acme" in answer.text
        pages.append(answer.text)
    grant = mail_provider.tokens.newest[mailbox.name]
    code = dict(parse_qsl(urlsplit(back).query))["code"]
    for secret in (grant.access_token, grant.refresh_token, CLIENT_SECRET, code):
        assert secret not in caplog.text
        assert not [page for page in pages if secret in page]


def test_an_account_that_cannot_send_is_connected_and_says_so(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    mail_provider.outgoing.tokens = {"somebody": "else"}
    page = told(client, consent(client, mail_provider, mailbox.name))
    assert "is connected." in page
    assert "It can be read, but nothing can be sent yet. 127.0.0.1" in page
    assert EmailAccount.objects.get().is_enabled


def test_the_login_name_may_differ_from_the_address(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser, settings: Settings
) -> None:
    settings.MAILHUB_OAUTH2 = {**mail_provider.settings, "ACME_LOGIN_CLAIM": "preferred_username"}
    claims = {"email": "Ada.Lovelace@acme.example", "preferred_username": mailbox.name}
    mail_provider.tokens.whims[mailbox.name] = Whims(claims=claims)
    assert "Ada.Lovelace@acme.example is connected." in told(
        client, consent(client, mail_provider, mailbox.name)
    )
    account = EmailAccount.objects.get()
    assert (account.email_address, account.username) == (claims["email"], mailbox.name)


def test_the_address_may_come_from_a_userinfo_endpoint(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser, settings: Settings
) -> None:
    settings.MAILHUB_OAUTH2 = {
        **mail_provider.settings,
        "ACME_USERINFO_URL": mail_provider.tokens.userinfo_url,
        "ACME_ADDRESS_CLAIM": "default_email",
        "ACME_SCOPES": "mail.all",
    }
    mail_provider.tokens.whims[mailbox.name] = Whims(
        claims={"email": None, "default_email": mailbox.name}, answer={"id_token": None}
    )
    assert f"{mailbox.name} is connected." in told(
        client, consent(client, mail_provider, mailbox.name)
    )
    assert "nonce" not in mail_provider.tokens.asked


def test_who_may_not_write_is_not_sent_anywhere(
    people: People, visit: Visit, mail_provider: MailProvider
) -> None:
    assert visit(people.viewer).get(CONNECT).status_code == 403
    assert "Connect with" not in visit(people.viewer).get("/mail").text


def test_only_a_visit_sets_out_or_comes_back(client: Client, mail_provider: MailProvider) -> None:
    for path in (CONNECT, "/oauth2/acme/callback"):
        for method in ("post", "head", "put"):
            assert getattr(client, method)(path).status_code == 405
    assert not ConsentRequest.objects.exists()


def test_what_the_pages_offer(client: Client, settings: Settings) -> None:
    settings.MAILHUB_OAUTH2 = {}
    assert "Connect with" not in client.get("/mail/connect").text
    assert "not registered there" in client.get("/mail/connect?email=a@outlook.com").text
    assert client.get("/oauth2/google/connect").status_code == 404
    assert client.get("/oauth2/google/callback").status_code == 404
    settings.MAILHUB_OAUTH2 = {"GOOGLE_CLIENT_ID": "g", "MICROSOFT_CLIENT_ID": "m"}
    page = client.get("/mail/connect").text
    assert page.index("Connect with Google") < page.index("Connect with Microsoft")
    page = client.get("/mail/connect?email=a%2Bb@outlook.com").text
    assert 'href="/oauth2/microsoft/connect?email=a%2Bb%40outlook.com"' in page
    assert "takes no password from other programs" in page
    assert "/oauth2/" not in client.get("/mail/connect?email=a@icloud.com").text

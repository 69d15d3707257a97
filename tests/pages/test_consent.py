"""Connecting an account by a provider's consent page, over a real provider and mail servers."""

from __future__ import annotations

import threading
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import ConsentRequest, Credential, EmailAccount
from accounts.oauth2.refreshing import fresh_access_token, revoked_words
from mailboxes.models import SyncRun, SyncState
from tests.pages.conftest import Visit, log_in
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.mail_provider import CLIENT_ID, CLIENT_SECRET, MailProvider
from tests.servers.oauth2 import Whims

CONNECT = "/oauth2/acme/connect"


@pytest.fixture
def mailbox(mail_provider: MailProvider) -> DovecotUser:
    return mail_provider.new_mailbox()


@pytest.fixture
def client(people: People, visit: Visit) -> Client:
    return visit(people.member)


def set_out(client: Client, address: str = CONNECT) -> str:
    """Where the person is sent."""
    answer = client.get(address)
    assert answer.status_code == 302, answer.text
    return answer["Location"]


def consent(client: Client, provider: MailProvider, user: str, address: str = CONNECT) -> str:
    """Set out and say yes; the address that the browser is sent to then."""
    back = provider.tokens.consent(set_out(client, address), user)
    return back.removeprefix("http://localhost:8000")


def told(client: Client, path: str) -> str:
    """What the page says to which the answer at `path` leads."""
    answer = client.get(path)
    assert answer.status_code == 302, answer.text
    assert answer["Location"].startswith("/mail")
    return client.get(answer["Location"]).text


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


def test_an_answer_counts_once(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    back = consent(client, mail_provider, mailbox.name)
    assert "is connected." in told(client, back)
    assert "belongs to no request of yours" in told(client, back)
    assert EmailAccount.objects.count() == 1


def test_of_two_answers_at_once_one_counts(
    transactional_db: None, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    people = People()
    client = log_in(people.member)
    back = consent(client, mail_provider, mailbox.name)
    answers: list[str] = []

    def come() -> None:
        try:
            own = Client()
            own.cookies = client.cookies
            answers.append(own.get(back)["Location"])
        finally:
            connection.close()

    threads = [threading.Thread(target=come) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["/mail", "/mail/connect", "/mail/connect"]
    assert EmailAccount.objects.count() == 1


def test_an_answer_is_of_use_to_whom_it_was_given_alone(
    client: Client,
    people: People,
    visit: Visit,
    mail_provider: MailProvider,
    mailbox: DovecotUser,
) -> None:
    """Nobody can make another's browser connect a mailbox of theirs, or take another's."""
    for stranger in (visit(people.teammate), visit(people.namesake), visit(people.member)):
        back = consent(client, mail_provider, mailbox.name)
        assert "belongs to no request of yours" in told(stranger, back)
    answer = Client().get(consent(client, mail_provider, mailbox.name))
    assert answer.status_code == 400
    assert not EmailAccount.objects.exists()
    assert "is connected." in told(client, consent(client, mail_provider, mailbox.name))


def test_an_answer_comes_in_time_or_not_at_all(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    back = consent(client, mail_provider, mailbox.name)
    late = timezone.now() - timedelta(seconds=1)
    ConsentRequest.objects.update(expires_at=late)
    assert "more than ten minutes have passed" in told(client, back)
    set_out(client)
    assert not ConsentRequest.objects.filter(expires_at=late).exists()
    assert not EmailAccount.objects.exists()


def test_an_answer_to_one_provider_is_none_to_another(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser, settings: Settings
) -> None:
    others = {f"OTHER_{name[5:]}": text for name, text in mail_provider.settings.items()}
    settings.MAILHUB_OAUTH2 = {**mail_provider.settings, **others}
    back = consent(client, mail_provider, mailbox.name)
    other = back.replace("/acme/", "/other/")
    assert "belongs to no request of yours" in told(client, other)
    assert "is connected." in told(client, back)


@pytest.mark.parametrize("query", ["", "?state=", "?state=guessed&code=1", "?code=1&error=x"])
def test_without_its_state_an_answer_is_nothing(
    client: Client, mail_provider: MailProvider, query: str
) -> None:
    assert "Begin again." in told(client, f"/oauth2/acme/callback{query}")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("access_denied", "Acme Mail was not given the permission: nothing was connected."),
        ("server_error", "Acme Mail has trouble at the moment: try again later."),
        ("temporarily_unavailable", "Acme Mail has trouble at the moment"),
        ("invalid_scope", "does not accept how this installation is registered there"),
        ("<script>alert(1)</script>", "does not accept how this installation is registered"),
        ("", "does not accept how this installation is registered there"),
    ],
)
def test_what_the_provider_refuses_is_said_in_words(
    client: Client, mail_provider: MailProvider, error: str, words: str
) -> None:
    state = dict(parse_qsl(urlsplit(set_out(client)).query))["state"]
    answer = client.get("/oauth2/acme/callback", {"state": state, "error": error})
    assert answer["Location"] == "/mail/connect"
    page = client.get("/mail/connect").text
    assert words in page
    assert "<script>alert" not in page


def test_a_person_who_says_no_is_told_that_nothing_happened(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    back = mail_provider.tokens.consent(set_out(client), mailbox.name, is_given=False)
    page = told(client, back.removeprefix("http://localhost:8000"))
    assert "nothing was connected" in page
    assert not EmailAccount.objects.exists()


def test_the_codes_verifier_is_checked_by_the_provider(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    """A code that was given for another request, as an attacker injects one (RFC 9700, 4.5)."""
    foreign = dict(parse_qsl(urlsplit(consent(client, mail_provider, mailbox.name)).query))
    state = dict(parse_qsl(urlsplit(set_out(client)).query))["state"]
    back = f"/oauth2/acme/callback?code={foreign['code']}&state={state}"
    assert "has run out or was used before: begin again" in told(client, back)
    assert not EmailAccount.objects.exists()


@pytest.mark.parametrize(
    ("whims", "words"),
    [
        (Whims(answer={"refresh_token": None}), "nothing to renew it"),
        (Whims(answer={"id_token": None}), "does not say which mail address"),
        (Whims(claims={"email": None}), "does not say which mail address"),
        (Whims(claims={"email": ["a@b.example"]}), "does not say which mail address"),
        (Whims(claims={"email": {"@": "a@b.example"}}), "does not say which mail address"),
        (Whims(claims={"email": "a\nb@c.example"}), "does not say which mail address"),
        (Whims(claims={"email": f"{'a' * 320}@c.example"}), "does not say which mail address"),
        (Whims(answer={"id_token": "a.b"}), "ID token makes no sense"),
        (Whims(answer={"id_token": "a.W10.c"}), "ID token makes no sense"),
        (Whims(answer={"id_token": "a.é.c"}), "ID token makes no sense"),
        (Whims(claims={"aud": "another"}), "meant for another program"),
        (Whims(claims={"nonce": "another"}), "belongs to another request"),
        (Whims(claims={"exp": 1.0}), "ID token has run out"),
        (Whims(claims={"exp": "soon"}), "ID token has run out"),
        (Whims(answer={"access_token": None}), "gave no access token"),
        (Whims(answer={"access_token": "wrong"}), "its mail cannot be read."),
        (Whims(answer={"access_token": "wrong", "scope": "openid email"}), "leave it ticked"),
    ],
)
def test_answers_from_which_no_account_can_be_made(
    client: Client,
    mail_provider: MailProvider,
    mailbox: DovecotUser,
    whims: Whims,
    words: str,
) -> None:
    mail_provider.tokens.whims[mailbox.name] = whims
    assert words in told(client, consent(client, mail_provider, mailbox.name))
    assert not EmailAccount.objects.exists()
    assert not Credential.objects.exists()


def test_a_wrong_client_secret_is_the_operators_matter(
    client: Client, mail_provider: MailProvider, mailbox: DovecotUser, settings: Settings
) -> None:
    settings.MAILHUB_OAUTH2 = {**mail_provider.settings, "ACME_CLIENT_SECRET": "old"}
    page = told(client, consent(client, mail_provider, mailbox.name))
    assert "its operator has to look at its client id" in page


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

"""The answer of a provider: it counts once, in time, for whom it was given, or is told in words."""

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
from tests.pages.conftest import Visit, log_in
from tests.pages.consent.conftest import consent, set_out, told
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.mail_provider import MailProvider
from tests.servers.oauth2 import Whims


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

"""Connecting accounts for the people of a client of the API, by a real provider's consent page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import ConsentRequest, EmailAccount, IdempotentRequest
from mailboxes.models import SyncRun
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.mail_provider import RETURN_URL, MailProvider
from tests.servers.oauth2 import Whims

START, FINISH = "/api/oauth2/acme/start", "/api/oauth2/acme/finish"


@pytest.fixture
def mailbox(mail_provider: MailProvider) -> DovecotUser:
    return mail_provider.new_mailbox()


@pytest.fixture
def shop(people: People) -> APIClient:
    """A client of the API that acts for `people.member`, among others."""
    return people.service_acting_for(people.member)


def start(api: APIClient, **body: Any) -> str:
    answer = api.post(START, {"returnUrl": RETURN_URL, **body})
    assert answer.status_code == 201, answer.json()
    assert 590 < answer.json()["expiresAt"] / 1000 - timezone.now().timestamp() <= 600
    return str(answer.json()["url"])


def come_back(provider: MailProvider, url: str, user: str, *, is_given: bool = True) -> str:
    """Where the person, of whom mailhub knows nothing, ends after the consent page."""
    back = provider.tokens.consent(url, user, is_given=is_given)
    answer = Client().get(back.removeprefix("http://localhost:8000"))
    assert answer.status_code == 302, answer.text
    assert "no-store" in answer["Cache-Control"]
    return answer["Location"]


def words_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def test_from_start_to_an_account(
    shop: APIClient, people: People, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    url = start(shop, returnUrl=f"{RETURN_URL}?order=7&code=mine", emailAddress=mailbox.name)
    assert mail_provider.tokens.mistake_of(words_of(url)) == ""
    assert words_of(url)["login_hint"] == mailbox.name
    back = come_back(mail_provider, url, mailbox.name)
    assert back.startswith(f"{RETURN_URL}?order=7&code=")
    code = words_of(back)["code"]
    assert code not in str(list(ConsentRequest.objects.values()))
    assert not EmailAccount.objects.exists()
    answer = shop.post(FINISH, {"code": code})
    assert answer.status_code == 201
    account = EmailAccount.objects.get()
    assert (account.user, account.email_address) == (people.member.user, mailbox.name)
    assert answer.json()["account"]["id"] == str(account.pk)
    assert answer.json()["account"]["access"] == "owner"
    assert answer.json()["verification"]["works"] is True
    assert SyncRun.objects.filter(account=account).exists()
    grant = mail_provider.tokens.newest[mailbox.name]
    for secret in (grant.access_token, grant.refresh_token):
        assert secret not in answer.content.decode()
    [shown] = shop.get("/api/credentials").json()["credentials"]
    assert (shown["kind"], shown["provider"]) == ("oauth2", "acme")


def test_finish_is_for_the_person_of_start_alone(
    shop: APIClient, people: People, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    """Who lures somebody to consent has no use of it: the client's session is another's."""
    code = words_of(come_back(mail_provider, start(shop), mailbox.name))["code"]
    for other in (
        people.service_acting_for(people.teammate),
        people.teammate.api,
        people.namesake.api,
        people.admin.api,
    ):
        answer = other.post(FINISH, {"code": code})
        assert (answer.status_code, answer.json()["error"]) == (400, "unknown_code")
    assert shop.post(FINISH, {"code": code}).status_code == 201


def test_a_code_counts_once_and_for_ten_minutes(
    shop: APIClient, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    code = words_of(come_back(mail_provider, start(shop), mailbox.name))["code"]
    assert shop.post(FINISH, {"code": code}).status_code == 201
    assert shop.post(FINISH, {"code": code}).json()["error"] == "unknown_code"
    code = words_of(come_back(mail_provider, start(shop), mailbox.name))["code"]
    ConsentRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert shop.post(FINISH, {"code": code}).json()["error"] == "unknown_code"


def test_the_state_is_no_code_and_the_code_no_state(
    shop: APIClient, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    url = start(shop)
    state = words_of(url)["state"]
    assert shop.post(FINISH, {"code": state}).json()["error"] == "unknown_code"
    code = words_of(come_back(mail_provider, url, mailbox.name))["code"]
    for word in (state, code):
        answer = Client().get("/oauth2/acme/callback", {"state": word, "code": "x"})
        assert answer.status_code == 400
        assert "Begin again." in answer.text
    assert shop.post(FINISH, {"code": code}).status_code == 201


def test_a_lost_answer_is_had_again(
    shop: APIClient, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    code = words_of(come_back(mail_provider, start(shop), mailbox.name))["code"]
    first, again = (shop.post(FINISH, {"code": code}, HTTP_IDEMPOTENCY_KEY="one") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again["Idempotent-Replayed"] == "true"
    assert first.json() == again.json()
    stored = str(list(IdempotentRequest.objects.values()))
    assert mail_provider.tokens.newest[mailbox.name].refresh_token not in stored


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/mail/connected",
        f"{RETURN_URL}/more",
        f"{RETURN_URL}#fragment",
        RETURN_URL.upper(),
        RETURN_URL.replace("https", "http"),
        RETURN_URL.replace("app.example", "app.example@evil.example"),
        RETURN_URL.replace("app.example", "app.example.evil.example"),
        f"https://evil.example/?next={RETURN_URL}",
        f"{RETURN_URL}\\@evil.example",
        "//app.example/mail/connected",
        "/mail/connected",
        "javascript:alert(1)",
        "?",
    ],
)
def test_nobody_is_sent_where_the_operator_has_not_listed(
    shop: APIClient, mail_provider: MailProvider, url: str
) -> None:
    answer = shop.post(START, {"returnUrl": url})
    assert answer.status_code == 400
    assert "returnUrl" in answer.json()["details"]["fields"]
    assert not ConsentRequest.objects.exists()


def test_an_address_that_is_listed_no_more_is_not_gone_to(
    shop: APIClient, mail_provider: MailProvider, mailbox: DovecotUser, settings: Settings
) -> None:
    url = start(shop)
    settings.MAILHUB_OAUTH2_RETURN_URLS = []
    back = mail_provider.tokens.consent(url, mailbox.name)
    answer = Client().get(back.removeprefix("http://localhost:8000"))
    assert answer.status_code == 400


def test_a_refusal_goes_back_to_the_client_in_words(
    shop: APIClient, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    back = come_back(mail_provider, start(shop), mailbox.name, is_given=False)
    assert back.startswith(f"{RETURN_URL}?error=access_denied&message=")
    assert words_of(back)["message"].startswith("Acme Mail was not given the permission")
    assert not ConsentRequest.objects.exists()


def test_a_mailbox_that_stays_closed_is_not_connected(
    shop: APIClient, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    mail_provider.tokens.whims[mailbox.name] = Whims(answer={"access_token": "wrong"})
    code = words_of(come_back(mail_provider, start(shop), mailbox.name))["code"]
    answer = shop.post(FINISH, {"code": code})
    assert (answer.status_code, answer.json()["error"]) == (422, "verification_failed")
    assert answer.json()["details"]["cause"] == "login_failed"
    assert "its mail cannot be read. localhost:" in answer.json()["message"]
    assert not EmailAccount.objects.exists()


def test_a_provider_in_trouble_is_a_busy_one(
    shop: APIClient, mail_provider: MailProvider, mailbox: DovecotUser, settings: Settings
) -> None:
    code = words_of(come_back(mail_provider, start(shop), mailbox.name))["code"]
    settings.MAILHUB_OAUTH2 = {**mail_provider.settings, "ACME_TOKEN_URL": "https://127.0.0.1:1/"}
    answer = shop.post(FINISH, {"code": code})
    assert (answer.status_code, answer.json()["error"]) == (502, "connection_failed")


def test_an_account_is_connected_again(
    shop: APIClient, people: People, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    code = words_of(come_back(mail_provider, start(shop), mailbox.name))["code"]
    account_id = shop.post(FINISH, {"code": code}).json()["account"]["id"]
    EmailAccount.objects.update(is_enabled=False, disabled_reason="It was revoked.")
    url = start(shop, accountId=account_id)
    assert words_of(url)["login_hint"] == mailbox.name
    code = words_of(come_back(mail_provider, url, mailbox.name))["code"]
    answer = shop.post(FINISH, {"code": code})
    assert answer.status_code == 200
    shown = answer.json()["account"]
    assert (shown["id"], shown["isEnabled"], shown["disabledReason"]) == (account_id, True, "")
    for other, status in ((people.teammate, 404), (people.namesake, 404), (people.admin, 403)):
        body = {"returnUrl": RETURN_URL, "accountId": account_id}
        assert other.api.post(START, body).status_code == status


def test_an_account_that_was_disconnected_meanwhile(
    shop: APIClient, mail_provider: MailProvider, mailbox: DovecotUser
) -> None:
    code = words_of(come_back(mail_provider, start(shop), mailbox.name))["code"]
    account_id = shop.post(FINISH, {"code": code}).json()["account"]["id"]
    back = come_back(mail_provider, start(shop, accountId=account_id), mailbox.name)
    assert shop.delete(f"/api/accounts/{account_id}").status_code == 204
    answer = shop.post(FINISH, {"code": words_of(back)["code"]})
    assert (answer.status_code, answer.json()["error"]) == (400, "unknown_code")


def test_a_proposal_names_the_provider_to_start_with(people: People, settings: Settings) -> None:
    path = "/api/accounts/autoconfig?email=ada@gmail.com"
    settings.MAILHUB_OAUTH2 = {}
    assert people.member.api.get(path).json()["oauth2Provider"] is None
    settings.MAILHUB_OAUTH2 = {"GOOGLE_CLIENT_ID": "known"}
    assert people.member.api.get(path).json()["oauth2Provider"] == "google"


def test_a_provider_that_is_not_there(people: People, settings: Settings) -> None:
    settings.MAILHUB_OAUTH2 = {"ACME_CLIENT_ID": "half of it"}
    for name in ("acme", "google"):
        answer = people.member.api.post(f"/api/oauth2/{name}/start", {"returnUrl": RETURN_URL})
        assert answer.status_code == 404

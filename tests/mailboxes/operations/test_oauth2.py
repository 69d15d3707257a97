"""Logins by OAuth2: XOAUTH2 on Dovecot and over SMTP, tokens renewed at a real provider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import IdempotentRequest
from mailboxes.operations.credentials import Credentials, OAuth2Grant
from tests.mailboxes.operations.calls import (
    MAIL,
    USER,
    by_token,
    call,
    of_receiver,
    trust,
)
from tests.people import People
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.oauth2 import Grant, TokenServer, Whims
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def user(
    oauth2_dovecot: DovecotServer, token_server: TokenServer, tmp_path: Path, settings: Settings
) -> DovecotUser:
    settings.MAILHUB_CA_FILE = trust(tmp_path, oauth2_dovecot, token_server)
    return oauth2_dovecot.add_user(f"{tmp_path.name.replace('_', '')}@example.org", "unused")


@pytest.fixture
def grant(token_server: TokenServer, user: DovecotUser) -> Grant:
    return token_server.grant(user.name)


@pytest.fixture
def credentials(user: DovecotUser, grant: Grant, token_server: TokenServer) -> dict[str, Any]:
    port = user.server.tls_port
    auth = by_token(grant, token_server)
    return {"host": "localhost", "port": port, "secure": True, "auth": auth}


def test_an_access_token_opens_the_mailbox(
    people: People, credentials: dict[str, Any], user: DovecotUser
) -> None:
    user.deliver(b"Subject: for me\r\n\r\nHi\r\n")
    credentials["auth"] = {
        name: credentials["auth"][name] for name in ("type", "user", "accessToken")
    }
    response = call(people.member.api, "retrieve-emails", {"smtpCredentials": credentials})
    assert response.status_code == 200
    assert [email["subject"] for email in response.json()["emails"]] == ["for me"]
    assert "auth" not in response.json()


def test_an_expired_token_is_renewed_and_handed_back(
    people: People, credentials: dict[str, Any], grant: Grant, token_server: TokenServer
) -> None:
    token_server.expire(grant)
    response = call(people.member.api, "retrieve-emails", {"smtpCredentials": credentials})
    assert response.status_code == 200
    renewed = token_server.newest[grant.user]
    assert response.json()["auth"] == {
        "accessToken": renewed.access_token,
        "refreshToken": renewed.refresh_token,
        "expiresIn": 3600,
    }
    assert response["Cache-Control"] == "no-store"
    assert token_server.renewals[grant.refresh_token] == {
        "grant_type": "refresh_token",
        "refresh_token": grant.refresh_token,
        "client_id": "client-1",
        "client_secret": "client-secret-51b2",
    }
    credentials["auth"] |= {"accessToken": renewed.access_token}
    again = call(people.member.api, "retrieve-emails", {"smtpCredentials": credentials})
    assert (again.status_code, "auth" in again.json()) == (200, False)


@pytest.mark.parametrize("lifetime", ["9" * 5000, "soon", -1, None], ids=str)
def test_a_lifetime_that_is_none_is_not_handed_back(
    people: People,
    credentials: dict[str, Any],
    grant: Grant,
    token_server: TokenServer,
    lifetime: object,
) -> None:
    token_server.whims[grant.user] = Whims(answer={"expires_in": lifetime})
    token_server.expire(grant)
    response = call(people.member.api, "retrieve-emails", {"smtpCredentials": credentials})
    assert response.status_code == 200
    assert set(response.json()["auth"]) == {"accessToken", "refreshToken"}


def test_a_refresh_token_alone_is_enough(
    people: People, credentials: dict[str, Any], grant: Grant, token_server: TokenServer
) -> None:
    del credentials["auth"]["accessToken"]
    body = {"smtpCredentials": credentials, "mailOptions": MAIL}
    response = call(people.member.api, "save-to-draft", body)
    assert response.status_code == 200
    assert response.json()["auth"]["accessToken"] == token_server.newest[grant.user].access_token


def test_a_renewal_that_is_refused_for_good_says_so(
    people: People, credentials: dict[str, Any], grant: Grant, token_server: TokenServer
) -> None:
    token_server.expire(grant)
    token_server.refused_users.add(grant.user)
    response = call(people.member.api, "retrieve-emails", {"smtpCredentials": credentials})
    assert (response.status_code, response.json()["error"]) == (422, "consent_revoked")
    assert grant.refresh_token not in response.content.decode()


def test_without_a_refresh_token_an_expired_one_is_a_refused_login(
    people: People, credentials: dict[str, Any], grant: Grant, token_server: TokenServer
) -> None:
    token_server.expire(grant)
    del credentials["auth"]["refreshToken"]
    response = call(people.member.api, "retrieve-emails", {"smtpCredentials": credentials})
    assert (response.status_code, response.json()["error"]) == (422, "login_failed")


def test_new_tokens_are_handed_back_with_an_error_too(
    people: People, credentials: dict[str, Any], grant: Grant, token_server: TokenServer
) -> None:
    token_server.expire(grant)
    body = {"smtpCredentials": credentials, "path": "No such folder"}
    response = call(people.member.api, "retrieve-emails", body)
    assert (response.status_code, response.json()["error"]) == (422, "folder_missing")
    renewed = token_server.newest[grant.user]
    assert response.json()["details"]["auth"]["refreshToken"] == renewed.refresh_token
    assert response["Cache-Control"] == "no-store"


def test_a_token_url_must_not_point_inside(
    people: People,
    credentials: dict[str, Any],
    grant: Grant,
    token_server: TokenServer,
) -> None:
    token_server.expire(grant)
    credentials["auth"]["tokenUrl"] = "https://169.254.169.254/token"
    response = call(people.member.api, "retrieve-emails", {"smtpCredentials": credentials})
    assert (response.status_code, response.json()["error"]) == (400, "host_not_allowed")
    assert grant.refresh_token not in token_server.renewals


def test_a_message_is_sent_with_a_renewed_token_and_the_stored_answer_holds_none(
    people: People,
    start_smtp_receiver: Callable[..., SmtpReceiver],
    token_server: TokenServer,
    tmp_path: Path,
    settings: Settings,
) -> None:
    settings.MAILHUB_CA_FILE = trust(tmp_path, token_server)
    grant = token_server.grant(f"sender-{tmp_path.name}@example.org")
    token_server.expire(grant)
    receiver = start_smtp_receiver(tokens=token_server.current)
    body = {
        "smtpCredentials": of_receiver(receiver, auth=by_token(grant, token_server)),
        "mailOptions": MAIL,
    }
    response = call(people.member.api, "send-email", body, idempotency_key="one")
    assert response.status_code == 200
    renewed = token_server.newest[grant.user]
    assert response.json()["auth"]["accessToken"] == renewed.access_token
    again = call(people.member.api, "send-email", body, idempotency_key="one")
    assert again["Idempotent-Replayed"] == "true"
    assert "auth" not in again.json()
    assert len(receiver.messages) == 1
    assert renewed.access_token not in str(IdempotentRequest.objects.values())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("imap.gmail.com", "https://oauth2.googleapis.com/token"),
        ("smtp-relay.gmail.com", "https://oauth2.googleapis.com/token"),
        (
            "outlook.office365.com",
            "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        ),
        (
            "smtp-mail.outlook.com",
            "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        ),
        ("gmail.com.example.org", ""),
        ("notgmail.com", ""),
    ],
)
def test_large_providers_token_urls_are_known(host: str, url: str) -> None:
    grant = OAuth2Grant(refresh_token="r")
    assert Credentials(host, 993, True, USER, grant=grant).token_url == url


def test_credentials_show_no_secret() -> None:
    grant = OAuth2Grant("access-1", "refresh-1", "client", "hidden-1")
    shown = repr(Credentials("mail.example.org", 993, True, USER, "password-1", grant))
    assert not [
        word for word in ("access-1", "refresh-1", "hidden-1", "password-1") if word in shown
    ]

"""Input that must not get through, sent over HTTP: a clear error, nothing stored, nothing sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.apps import apps
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from tests.people import People
from tests.servers.processes import free_port
from tests.servers.smtp import SmtpReceiver

_APPS = ("accounts", "contacts", "mailboxes", "campaigns")
_PASSWORD = "not the password"
# Ends a header and begins another, wherever it is written into one unchecked.
_BROKEN = "Mary\r\nBcc: everyone@example.org"


def stored() -> dict[str, int]:
    """How many rows there are of each kind."""
    models = [model for app in _APPS for model in apps.get_app_config(app).get_models()]
    return {model.__name__: model._default_manager.count() for model in models}


class Site:
    """The API as it is called from elsewhere, by an owner."""

    def __init__(self, url: str, people: People) -> None:
        self._url = url
        self._headers = {"Authorization": f"Token {people.owner.key}"}

    def post(self, path: str, body: dict[str, Any], **options: Any) -> requests.Response:
        return requests.post(
            f"{self._url}/api/{path}", json=body, headers=self._headers, timeout=60, **options
        )

    def upload(self, path: str, body: bytes, content_type: str) -> requests.Response:
        headers = {**self._headers, "Content-Type": content_type}
        return requests.post(f"{self._url}/api/{path}", data=body, headers=headers, timeout=60)

    def refuses(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The error, once it is sure that it left no trace."""
        before = stored()
        answer = self.post(path, body)
        assert answer.status_code == 400, answer.text
        error: dict[str, Any] = answer.json()
        assert set(error) == {"status", "error", "message", "details"}
        assert _PASSWORD not in answer.text
        assert stored() == before
        return error


@pytest.fixture
def site(live_server: LiveServer, transactional_db: None) -> Site:
    return Site(live_server.url, People())


def account(**changes: Any) -> dict[str, Any]:
    return {
        "accountName": "Work",
        "emailAddress": "mary@example.org",
        "hostname": "127.0.0.1",
        "encryption": "none",
        "password": _PASSWORD,
        **changes,
    }


def campaign(**changes: Any) -> dict[str, Any]:
    return {
        "subject": "Hello",
        "body": "<p>Hello</p>",
        "from_email": "shop@example.org",
        "emails": ["someone@example.net"],
        "smtp_server": "127.0.0.1",
        "smtp_encryption": "none",
        "smtp_username": "shop",
        "smtp_password": _PASSWORD,
        **changes,
    }


def test_wrong_password_and_dead_host(
    site: Site, start_smtp_receiver: Callable[..., SmtpReceiver]
) -> None:
    receiver = start_smtp_receiver(users={"mary@example.org": "the password"})
    smtp = {"smtpHostname": "127.0.0.1", "smtpPort": receiver.port, "smtpEncryption": "none"}
    before = stored()
    answer = site.post("accounts/verify", account(port=free_port(), **smtp))
    assert answer.status_code == 200
    found = answer.json()
    assert found["works"] is False
    assert found["incoming"]["error"] == "connection_failed"
    assert found["outgoing"]["error"] == "login_failed"
    assert found["outgoing"]["details"]["reply"].startswith("535")
    assert _PASSWORD not in answer.text
    assert stored() == before
    assert receiver.messages == []


@pytest.fixture
def no_private_networks(settings: Settings) -> None:
    settings.MAILHUB_ALLOWED_NETWORKS = []


@pytest.mark.usefixtures("no_private_networks")
@pytest.mark.parametrize(
    ("path", "body", "port"),
    [
        ("accounts", account(hostname="localhost"), "port"),
        ("accounts/verify", account(hostname="localhost"), "port"),
        ("accounts", account(hostname="8.8.8.8", smtpHostname="localhost"), "smtpPort"),
        ("smtp-campaign", campaign(smtp_server="localhost"), "smtp_port"),
        ("credentials", {"oauth2": {"refreshToken": "a", "tokenUrl": "https://localhost/"}}, ""),
    ],
)
def test_name_of_a_private_address(
    site: Site,
    smtp_receiver: SmtpReceiver,
    path: str,
    body: dict[str, Any],
    port: str,
) -> None:
    error = site.refuses(path, {**body, **({port: smtp_receiver.port} if port else {})})
    assert error["error"] == "host_not_allowed"
    assert smtp_receiver.connections == 0


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("accounts", account(accountName=_BROKEN), "accountName"),
        ("accounts", account(username=_BROKEN), "username"),
        ("accounts", account(emailAddress=f"mary@example.org{_BROKEN[4:]}"), "emailAddress"),
        ("accounts", account(hostname="127.0.0.1\r\nQUIT"), "hostname"),
        ("accounts", account(password="secret\r\nQUIT"), "password"),
        ("accounts/verify", account(username=_BROKEN), "username"),
        ("credentials", {"name": _BROKEN, "password": _PASSWORD}, "name"),
        ("users", {"name": _BROKEN}, "name"),
        ("contacts", {"email": "mary@example.org", "first_name": _BROKEN}, "first_name"),
        ("contacts", {"email": "mary@example.org\r\n.org"}, "email"),
        ("suppressions", {"email": f"mary@example.org{_BROKEN[4:]}"}, "email"),
        ("smtp-campaign", campaign(campaign_name=_BROKEN), "campaign_name"),
        ("smtp-campaign", campaign(subject=_BROKEN), "subject"),
        ("smtp-campaign", campaign(from_email=f"{_BROKEN} <a@example.org>"), "from_email"),
        ("smtp-campaign", campaign(smtp_username=_BROKEN), "smtp_username"),
        ("smtp-campaign", campaign(headers={"X-Note": _BROKEN}), "headers"),
        ("smtp-campaign", campaign(emails=[f"a@example.org{_BROKEN[4:]}"]), "emails"),
    ],
)
def test_line_break_in_a_name(site: Site, path: str, body: dict[str, Any], field: str) -> None:
    error = site.refuses(path, body)
    assert error["error"] == "invalid"
    assert list(error["details"]["fields"]) == [field]
    assert "\r" not in error["message"]


@pytest.mark.parametrize("part", ["name", "filename"])
def test_line_break_in_the_head_of_an_upload(site: Site, part: str) -> None:
    """The name of a field or file is taken as far as its line goes, never as a header."""
    head = {"name": "file", "filename": "people.csv", part: "x\r\nX-Injected: yes"}
    body = (
        f'--b\r\nContent-Disposition: form-data; name="{head["name"]}"; '
        f'filename="{head["filename"]}"\r\n\r\nemail\r\na@example.org\r\n--b--\r\n'
    )
    answer = site.upload("contacts/import", body.encode(), "multipart/form-data; boundary=b")
    assert answer.status_code in (202, 400)
    assert "X-Injected" not in answer.headers
    assert "X-Injected" not in answer.text

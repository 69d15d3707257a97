"""One table of addresses under two names, with or without a slash at the end."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.people import People


@pytest.mark.parametrize(
    "path",
    ["/api/accounts", "/api/accounts/", "/v1/accounts", "/v1/accounts/", "/v1/accounts/?limit=5"],
)
def test_each_name_is_the_same_address(people: People, path: str) -> None:
    account = people.connect_account(people.member)
    [row] = people.member.api.get(path).json()["accounts"]
    assert row["id"] == str(account.pk)


@pytest.mark.parametrize("base", ["/api", "/v1"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_each_method_works_under_each_name(people: People, base: str, slash: str) -> None:
    api = people.member.api
    made = api.post(f"{base}/credentials{slash}", {"password": "x"})
    assert made.status_code == 201
    gone = api.delete(f"{base}/credentials/{made.json()['id']}{slash}")
    assert gone.status_code == 204


@pytest.mark.parametrize(
    ("typed", "page"),
    [
        ("/mail/", "/mail"),
        ("/mail/all/?q=a%20b&unread=1", "/mail/all?q=a%20b&unread=1"),
        ("/login/", "/login"),
        ("/admin", "/admin/"),
    ],
)
def test_a_page_is_found_with_a_slash_more_or_less(client: Client, typed: str, page: str) -> None:
    response = client.get(typed)
    assert (response.status_code, response.headers["Location"]) == (301, page)


@pytest.mark.parametrize("typed", ["/nothing", "/nothing/", "//mail/", "//evil.example/mail/"])
def test_what_is_nowhere_leads_nowhere(client: Client, typed: str) -> None:
    assert client.get("/", PATH_INFO=typed).status_code == 404


def test_a_form_is_not_sent_elsewhere(client: Client) -> None:
    assert client.post("/login/", {"username": "ann", "password": "x"}).status_code == 404


def test_calls_of_other_sites_are_answered_only_where_allowed(
    people: People, settings: Settings
) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
        response = people.member.api.options(
            "/api/accounts",
            HTTP_ORIGIN=origin,
            HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
            HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,idempotency-key",
        )
        assert ("Access-Control-Allow-Origin" in response) is allowed

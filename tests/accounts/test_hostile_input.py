"""Whatever comes in, the answer is below 500 and in the one shape."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.people import People

HOSTILE: list[Any] = [
    None, True, -1, 2**63 - 1, 1e308, "", "x" * 20_000, "\r\nX: y", "😀", "../../etc/passwd",
    "9999-12-31T23:59:59-23:59", [], [None], {}, {"a": {"b": []}},
]  # fmt: skip
POSTS = {
    "/api/accounts": (
        "accountName emailAddress protocol hostname port encryption username credentialId "
        "password oauth2 smtpHostname smtpPort isSyncEnabled syncInterval id"
    ),
    "/api/credentials": "name kind username password oauth2 aws",
    "/api/users": "name role email password",
    "/api/keys": "name user scopes is_service expires_at",
}
DECENT: dict[str, dict[str, Any]] = {
    "/api/accounts": {
        "accountName": "Work",
        "emailAddress": "me@acme.example",
        "hostname": "127.0.0.1",
        "password": "x",
    },
    "/api/credentials": {"password": "x"},
    "/api/users": {"name": "nina"},
    "/api/keys": {},
}
INNER = {
    "oauth2": "accessToken refreshToken clientId clientSecret tokenUrl expiresAt",
    "aws": "accessKeyId secretAccessKey",
}


def check(response: Any) -> None:
    assert response.status_code < 500, response.content
    if response.status_code >= 400:
        assert sorted(response.json()) == ["details", "error", "message", "status"]


@pytest.mark.parametrize("url", POSTS)
def test_any_value_in_any_field(people: People, url: str) -> None:
    for field in POSTS[url].split():
        for value in HOSTILE:
            check(people.owner.api.post(url, {**DECENT[url], field: value}))


@pytest.mark.parametrize("kind", INNER)
def test_any_value_inside_of_a_secret(people: People, kind: str) -> None:
    for field in INNER[kind].split():
        for value in HOSTILE:
            secret = {"accessToken": "x"} if kind == "oauth2" else {}
            given = {kind: {**secret, field: value}}
            check(people.owner.api.post("/api/credentials", given))


def test_any_value_in_a_change(people: People) -> None:
    account = people.connect_account(people.owner)
    assert people.member.name == "mary"
    for field in ("hostname", "port", "credentialId", "smtpEncryption"):
        for value in HOSTILE:
            check(people.owner.api.patch(f"/api/accounts/{account.pk}", {field: value}))
    for value in HOSTILE:
        check(people.owner.api.patch("/api/users/mary", {"role": value}))
        check(people.owner.api.patch("/api/users/mary", {"email": value}))
        check(people.owner.api.post(f"/api/accounts/{account.pk}/delegates", {"userId": value}))
        check(people.owner.api.post(f"/api/accounts/{account.pk}/delegates", {"access": value}))


def test_any_text_in_an_address(people: People) -> None:
    from urllib.parse import quote

    account = people.connect_account(people.owner)
    texts = [quote(str(value)[:2000], safe="") for value in HOSTILE]
    for text in texts:
        for path in (
            f"/api/accounts/{text}",
            f"/api/accounts/{text}/delegates",
            f"/api/accounts/{account.pk}/delegates/{text}",
            f"/api/credentials/{text}",
            f"/api/keys/{text}",
            f"/api/users/{text}",
        ):
            for call in (people.owner.api.get, people.owner.api.delete):
                response = call(path)
                assert response.status_code < 500, (path, response.content)
        for name in ("limit", "cursor", "everyone", "tenant_id", "user_id", "email", "format"):
            response = people.owner.api.get(f"/api/accounts?{name}={text}")
            assert response.status_code < 500, (name, text)


@pytest.mark.parametrize("name", ["X-Tenant-ID", "X-User-ID", "Idempotency-Key", "Authorization",
                                  "Accept", "Content-Type"])  # fmt: skip
def test_any_text_in_a_header(people: People, name: str) -> None:
    variable = name.upper().replace("-", "_")
    variable = variable if variable.startswith("CONTENT") else f"HTTP_{variable}"
    for client in (people.owner.api, APIClient(raise_request_exception=False)):
        for value in ("", " ", "x" * 10_000, "\x00", "\xff", "a,b;c=d", "*/*;q=x", "9" * 400):
            response = client.generic(
                "POST",
                "/api/credentials",
                "{}",
                headers={name: value},
            )
            assert response.status_code < 500, (value, response.content)

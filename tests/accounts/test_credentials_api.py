"""`credentials`: kept encrypted, listed without their secret, private to their user."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Credential
from tests.people import People

OAUTH2 = {
    "accessToken": "ya29.access",
    "refreshToken": "1//refresh",
    "clientId": "client",
    "clientSecret": "hidden",
    "tokenUrl": "https://127.0.0.1/token",
    "expiresAt": 1_706_033_200_000,
}
AWS = {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": "wJalrXUtnFEMI"}


@pytest.mark.parametrize(
    ("given", "kind", "stored"),
    [
        ({"password": " päss wörd "}, "password", {"password": " päss wörd "}),
        (
            {"oauth2": OAUTH2, "username": "me@company.example"},
            "oauth2",
            {
                "access_token": "ya29.access",
                "refresh_token": "1//refresh",
                "client_id": "client",
                "client_secret": "hidden",
                "token_url": "https://127.0.0.1/token",
                "expires_at": 1_706_033_200.0,
            },
        ),
        (
            {"kind": "aws", "aws": AWS},
            "aws",
            {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "wJalrXUtnFEMI"},
        ),
    ],
)
def test_secret_goes_in_and_never_comes_out(
    people: People, given: dict[str, Any], kind: str, stored: dict[str, Any]
) -> None:
    response = people.member.api.post("/api/credentials", {"name": "work", **given})
    assert response.status_code == 201, response.content
    answer = response.json()
    names = ["createdAt", "id", "kind", "name", "provider", "updatedAt", "username"]
    assert sorted(answer) == names
    assert answer["provider"] == ""
    assert answer["kind"] == kind
    assert people.member.api.get("/api/credentials").json()["credentials"] == [answer]
    assert Credential.objects.get().reveal_secret() == stored


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "non_field_errors"),
        ({"password": "x", "aws": AWS}, "non_field_errors"),
        ({"password": "x", "kind": "aws"}, "kind"),
        ({"password": "x", "kind": "telepathy"}, "kind"),
        ({"password": "x", "name": "two\nlines"}, "name"),
        ({"oauth2": {}}, "oauth2"),
        ({"oauth2": {"refreshToken": "x"}}, "oauth2"),
        ({"oauth2": {**OAUTH2, "tokenUrl": "http://127.0.0.1/token"}}, "oauth2"),
        ({"oauth2": {**OAUTH2, "tokenUrl": "https://127.0.0.1:99999/"}}, "oauth2"),
        ({"oauth2": {**OAUTH2, "tokenUrl": "https:///token"}}, "oauth2"),
        ({"oauth2": {**OAUTH2, "tokenurl": "https://127.0.0.1/"}}, "oauth2"),
        ({"aws": {"accessKeyId": "x"}}, "aws"),
    ],
)
def test_bad_field_is_named(people: People, given: dict[str, Any], field: str) -> None:
    response = people.member.api.post("/api/credentials", given)
    assert response.status_code == 400
    assert list(response.json()["details"]["fields"]) == [field]
    assert not Credential.objects.exists()


def test_token_url_of_a_private_network_is_refused(people: People) -> None:
    secret = {**OAUTH2, "tokenUrl": "https://169.254.169.254/token"}
    response = people.member.api.post("/api/credentials", {"oauth2": secret})
    assert (response.status_code, response.json()["error"]) == (400, "host_not_allowed")


def test_credentials_are_private_to_their_user(people: People) -> None:
    mine = people.member.api.post("/api/credentials", {"password": "x"}).json()["id"]
    for person in (people.teammate, people.admin, people.owner, people.stranger, people.namesake):
        assert person.api.get("/api/credentials").json()["credentials"] == []
        assert person.api.delete(f"/api/credentials/{mine}").status_code == 404
    assert people.viewer.api.post("/api/credentials", {"password": "x"}).status_code == 403
    assert people.member.api.delete(f"/api/credentials/{mine}").status_code == 204
    assert not Credential.objects.exists()

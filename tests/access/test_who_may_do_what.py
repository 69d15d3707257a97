"""Each endpoint, each kind of caller: the table in `tests.access.table`, called for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker
from rest_framework.test import APIClient

from accounts.caller import ALL_SCOPES
from accounts.models import ApiKey
from tests.access.table import ROWS, Row
from tests.access.things import Things
from tests.people import People, client_with

pytestmark = pytest.mark.django_db
each_row = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
FOREIGN = ("stranger", "namesake")


def _as_session(people: People) -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_login(people.member.user)
    return client


def _as_forger(people: People) -> APIClient:
    return client_with(
        people.stranger.key, x_tenant_id=people.tenant.slug, x_user_id=people.member.name
    )


# Callers without a column of their own: like which column, or always the same status.
OTHERS: dict[str, tuple[str, Callable[[People], APIClient]]] = {
    "session": ("member", _as_session),
    "service for the member": ("member", lambda people: people.service_acting_for(people.member)),
    "namesake": ("stranger", lambda people: people.namesake.api),
    "service for nobody": ("401", lambda people: people.service.api),
    "anonymous": ("401", lambda people: APIClient(raise_request_exception=False)),
    "forger": ("403", _as_forger),
}


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside leaves no trace in the database."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def made_once(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Things]:
    with django_db_blocker.unblock(), undone():
        yield Things(People())


@pytest.fixture
def things(made_once: Things, db: None, settings: Settings) -> Things:
    settings.MAILHUB_OAUTH2 = {
        "ACME_CLIENT_ID": "mailhub",
        "ACME_AUTHORIZE_URL": "https://127.0.0.1:1/authorize",
        "ACME_TOKEN_URL": "https://127.0.0.1:1/token",
        "ACME_SCOPES": "mail",
        "ACME_INCOMING": "imaps://127.0.0.1:1",
    }
    settings.MAILHUB_OAUTH2_RETURN_URLS = ["https://app.example/connected"]
    return made_once


def callers(row: Row, people: People) -> Iterator[tuple[str, str, APIClient]]:
    """Name, what it is to get, client."""
    for name, expected in row.expected.items():
        yield name, expected, getattr(people, name).api
    for name, (like, make) in OTHERS.items():
        yield name, row.expected.get(like, like), make(people)


def call(client: APIClient, row: Row, names: dict[str, str], base: str = "/api/") -> Any:
    body, options = _filled(row.body, names), {"format": "json"}
    if body and "file" in body:
        file = io.BytesIO(body["file"].encode())
        file.name = "new.csv"
        body, options = {"file": file}, {"format": "multipart"}
    if row.method == "GET":
        body, options = None, {}
    path = base + row.path.format(**names)
    return getattr(client, row.method.lower())(path, body, **options)


def content_of(answer: Any) -> bytes:
    """All that was answered, streamed or not."""
    content: bytes = answer.getvalue() if answer.streaming else answer.content
    return content


def _filled(body: dict[str, Any] | None, names: dict[str, str]) -> dict[str, Any] | None:
    if body is None:
        return None
    return {
        key: value.format(**names) if isinstance(value, str) else value
        for key, value in body.items()
    }


@each_row
def test_each_caller_gets_what_the_table_says(row: Row, things: Things) -> None:
    everyone, got = list(callers(row, things.people)), {}
    before, of_tenant = things.rows(), things.rows_of_tenant()
    for name, _, client in everyone:
        with undone():
            answer = call(client, row, things.names)
            shown = things.shown_in(content_of(answer))
            got[name] = str(answer.status_code)
            if row.method == "GET" and answer.status_code == 200 and not shown:
                got[name] = "none"
            if answer.status_code >= 400:
                assert set(answer.json()) == {"status", "error", "message", "details"}
                assert things.rows() == before, f"{name} was refused and changed something"
            if name in FOREIGN:
                assert things.rows_of_tenant() == of_tenant, f"{name} changed something"
            if answer.status_code >= 400 or name in FOREIGN:
                assert not shown, f"{name} is told of it"
    assert got == {name: expected for name, expected, _ in everyone}


@each_row
def test_what_is_not_the_callers_is_like_what_does_not_exist(row: Row, things: Things) -> None:
    for name, expected, client in callers(row, things.people):
        if expected in ("400", "404"):
            foreign = call(client, row, things.names)
            missing = call(client, row, things.missing)
            assert content_of(foreign) == content_of(missing), name
            assert foreign.status_code == missing.status_code
            assert foreign.headers == missing.headers


@each_row
def test_a_key_needs_the_right(row: Row, things: Things) -> None:
    scope, _, right = row.needs.partition(":")
    without = [given for given in ALL_SCOPES if not given.startswith(f"{scope}:")]
    client = client_with(_key(things.people, without))
    refused = call(client, row, things.names)
    assert (refused.status_code, refused.json()["error"]) == (403, "scope_required")
    if right == "write":
        client = client_with(_key(things.people, [*without, f"{scope}:read"]))
        assert call(client, row, things.names).status_code == 403
    enough = call(client_with(_key(things.people, [row.needs])), row, things.names)
    assert b"scope_required" not in content_of(enough)


def _key(people: People, scopes: list[str]) -> str:
    return ApiKey.objects.issue(people.owner.membership, scopes=scopes)[1]


@each_row
def test_the_other_base_answers_the_same(row: Row, things: Things) -> None:
    for name in ("member", "admin", "stranger"):
        client = getattr(things.people, name).api
        with undone():
            answer = call(client, row, things.names)
        with undone():
            other = call(client, row, things.names, "/v1/")
        assert other.status_code == answer.status_code, name
        assert things.shown_in(content_of(other)) == things.shown_in(content_of(answer))


@each_row
def test_a_session_changes_nothing_without_its_token(row: Row, things: Things) -> None:
    client = APIClient(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(things.people.owner.user)
    if row.method != "GET":
        answer = call(client, row, things.names)
        assert answer.status_code == 403
        assert answer.json()["error"] == "csrf_failed" or "CSRF" in answer.json()["message"]

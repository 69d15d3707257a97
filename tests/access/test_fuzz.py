"""Whatever the API's document allows, and much that it does not: never a 500, one shape of errors.

Each operation is called as one who may carry it out, with ids of what is there; what it does
is undone. The same few calls in each run; `make faults ARGS="--only api"` makes many others.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from pytest_django.fixtures import Settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from mailhub.wsgi import application
from tests.access.table import ROWS, Row
from tests.access.test_document import operation_of, operations
from tests.access.test_who_may_do_what import made_once, things, undone
from tests.access.things import Things
from tests.servers.site import ROOT

__all__ = ["made_once", "things"]

pytestmark = pytest.mark.django_db
Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]
# Set by `make faults`: how many calls an operation gets in each mode, chosen anew in each run.
MANY = int(os.environ.get("MAILHUB_FUZZ_CALLS", "0"))
CALLS = MANY or 4
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
# What stands where, so that calls get beyond "there is no such thing".
REAL = {
    "accountId": "account",
    "account_id": "account",
    "credentialId": "credential",
    "draftId": "draft",
    "folderId": "folder",
    "fromFolderId": "folder",
    "forwardOf": "message",
    "inReplyTo": "message",
    "messageId": "message",
    "threadId": "thread",
    "syncId": "sync",
    "ids": "message",
    "list_ids": "list",
    "listId": "list",
    "segment_id": "segment",
}
UNREACHABLE = {502, 503, 504}


@cache
def described() -> dict[str, Operation]:
    """Operation id → operation."""
    schema = schemathesis.openapi.from_path(ROOT / "docs" / "openapi.yaml")
    schema.app = application
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return {each.definition.raw["operationId"]: each for each in found}


def kinds() -> list[tuple[str, GenerationMode]]:
    """Operation id and mode, where there is anything that can be wrong."""
    found = []
    for name, operation in sorted(described().items()):
        if name in rows():
            found.append((name, POSITIVE))
            if operation.query or operation.body or operation.path_parameters:
                found.append((name, NEGATIVE))
    return found


@cache
def rows() -> dict[str, Row]:
    """Operation id → its first row in the table, whose member, admin or owner may do it."""
    found: dict[str, Row] = {}
    for row in ROWS:
        found.setdefault(operation_of(row)["operationId"], row)
    return found


@pytest.fixture
def closed_network(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """No host is known but this one, which users may not name."""
    known = socket.getaddrinfo

    def find(host: Any, *rest: Any, **options: Any) -> Any:
        if host in ("127.0.0.1", "localhost"):
            return known(host, *rest, **options)
        raise socket.gaierror(socket.EAI_NONAME, "the network is closed")

    def refuse(*_: Any) -> int:
        raise OSError("the network is closed")

    monkeypatch.setattr(socket, "getaddrinfo", find)
    monkeypatch.setattr(socket.socket, "sendto", refuse)
    settings.MAILHUB_ALLOWED_NETWORKS = []


@pytest.fixture
def kept_connection() -> Iterator[None]:
    """As in Django's own test client: the end of a request ends no transaction of a test."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


def caller_of(row: Row, things: Things) -> dict[str, str]:
    """The headers of who may do it."""
    able = (name for name in ("member", "admin", "owner") if row.expected[name][0] in "25n")
    person = getattr(things.people, next(able, "owner"))
    return {
        "Authorization": f"Token {person.key}",
        "X-Tenant-ID": person.tenant.slug,
        "X-User-ID": person.name,
    }


def places_of(operation: Operation, row: Row, things: Things) -> dict[str, str]:
    """What stands in the placeholders of its path: the same as in the table's address."""
    address = row.path.partition("?")[0].format(**things.names)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path.removeprefix("/api/"))
    found = re.fullmatch(pattern, address)
    assert found is not None, (operation.path, address)
    return found.groupdict()


def with_real_ids(value: Any, names: dict[str, str]) -> Any:
    """The same with ids of what is there."""
    if isinstance(value, list):
        return [with_real_ids(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    filled = {key: with_real_ids(each, names) for key, each in value.items()}
    for key in filled.keys() & REAL.keys():
        real = names[REAL[key]]
        filled[key] = [real] if isinstance(filled[key], list) else real
    return filled


def test_each_operation_is_called() -> None:
    public = {"schema_retrieve", "webhooks_ses_create"}
    assert described().keys() - public == rows().keys()
    assert {each["operationId"] for each in operations().values()} == described().keys() - public


@pytest.mark.usefixtures("closed_network", "kept_connection")
@pytest.mark.parametrize(("name", "mode"), kinds(), ids=str)
def test_every_call_is_answered(name: str, mode: GenerationMode, things: Things) -> None:
    operation, row = described()[name], rows()[name]
    headers = caller_of(row, things)
    # Where nothing else can be wrong, places are asked for at which there is nothing.
    if mode is NEGATIVE and not operation.query and not operation.body:
        cases = operation.as_strategy(POSITIVE, headers=headers)
    else:
        places = places_of(operation, row, things)
        cases = operation.as_strategy(mode, headers=headers, path_parameters=places)

    @examples(
        max_examples=CALLS,
        derandomize=not MANY,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def call(case: AnyCase) -> None:
        if mode is POSITIVE:
            case.query = with_real_ids(case.query, things.names)
            case.body = with_real_ids(case.body, things.names)
        try:
            with undone():
                check(case)
        except BaseException as error:
            error.add_note(f"{case.method} {case.formatted_path} {case.query} {case.body!r}")
            raise

    run: Callable[[], None] = call
    run()


def check(case: AnyCase) -> None:
    """Raises AssertionError for a 500, and for an error of another shape."""
    answer = case.call()
    content = answer.content
    assert answer.status_code < 500 or answer.status_code in UNREACHABLE, content[:500]
    if answer.status_code >= 400:
        told = answer.json()
        assert set(told) == {"status", "error", "message", "details"}
        assert (told["status"], type(told["details"])) == ("error", dict)
        assert re.fullmatch("[a-z0-9_]+", told["error"])
        assert told["message"]

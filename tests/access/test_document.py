"""The OpenAPI document says what the API answers."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml
from django.test import Client

from accounts.models import ApiKey, EmailAccount, Event, EventWebhook
from mailhub.api.naming import camel_case
from mailhub.api.pagination import LARGEST_LIMIT
from tests.access.table import BODIES, PUBLIC, ROWS, Row
from tests.access.test_who_may_do_what import call, content_of, made_once, things, undone
from tests.access.things import Things
from tests.people import People

__all__ = ["made_once", "things"]

pytestmark = pytest.mark.django_db
# What a client of each list asks for, and under which name it finds the next page.
LISTS = {
    "accounts": "nextCursor",
    "accounts/{}/delegates": "nextCursor",
    "credentials": "nextCursor",
    "folders": "nextCursor",
    "messages": "nextCursor",
    "threads": "nextCursor",
    "compose/drafts": "nextCursor",
    "outbox": "nextCursor",
    "email-log": "nextCursor",
    "dead-letters": "nextCursor",
    "contacts": "next_cursor",
    "contacts/imports": "next_cursor",
    "contacts/imports/{}/errors": "next_cursor",
    "suppressions": "next_cursor",
    "lists": "next_cursor",
    "lists/{}/members": "next_cursor",
    "segments": "next_cursor",
    "campaigns": "next_cursor",
    "campaigns/{}/deliveries": "next_cursor",
    "users": "next_cursor",
    "keys": "next_cursor",
    "event-webhooks": "next_cursor",
    "event-webhooks/{}/deliveries": "next_cursor",
    "templates": "next_cursor",
    "dkim-keys": "next_cursor",
    "ses-topics": "next_cursor",
}
# POSTs that change what is there, or only look: the same call twice does no harm.
NEED_NO_KEY = {
    "accounts/verify",
    "accounts/{}/verify",
    "oauth2/{}/start",
    "retrieve-emails",
    "sync/{}/cancel",
    "contacts/imports/{}/cancel",
    "segments/preview",
    "campaigns/audience",
    "campaigns/{}/preview",
    "templates/preview",
    "templates/{}/preview",
}


@cache
def document() -> dict[str, Any]:
    """As it is served, its schemas strict: a name that it does not tell of is a defect."""
    content = Client(headers={"accept": "application/vnd.oai.openapi"}).get("/api/schema").content
    loaded: dict[str, Any] = yaml.safe_load(content)
    for name, schema in loaded["components"]["schemas"].items():
        if not name.endswith("Request") and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    translated: dict[str, Any] = _as_json_schema(loaded)
    return translated


def _as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema has a type of its own."""
    if isinstance(node, list):
        return [_as_json_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    translated = {key: _as_json_schema(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [translated, {"type": "null"}]} if node.get("nullable") is True else translated


def operations() -> dict[str, dict[str, Any]]:
    """`GET accounts/{}` → its description, of all that need a caller."""
    found = {
        f"{method.upper()} {_plain(path.removeprefix('/api/'))}": operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    return {name: operation for name, operation in found.items() if name not in PUBLIC}


def _plain(address: str) -> str:
    return re.sub(r"\{\w+\}|(?<=attachments/)0$", "{}", address)


def operation_of(row: Row) -> dict[str, Any]:
    return operations()[_plain(row.endpoint)]


def check(value: Any, schema: dict[str, Any]) -> None:
    """Raises ValidationError."""
    jsonschema.Draft202012Validator(
        {**schema, "components": document()["components"]},
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    ).validate(value)


def test_each_endpoint_is_described() -> None:
    assert set(operations()) == {_plain(row.endpoint) for row in ROWS} | {"GET schema"} & set(
        operations()
    )
    names = [operation["operationId"] for operation in operations().values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_answers_are_as_described(row: Row, things: Things) -> None:
    responses = operation_of(row)["responses"]
    for name in ("owner", "admin", "member", "reader", "viewer"):
        if not row.expected[name].startswith(("4", "5")):
            with undone():
                _check_answer(call(getattr(things.people, name).api, row, things.names), responses)


def _check_answer(answer: Any, responses: dict[str, Any]) -> None:
    described = responses[str(answer.status_code)].get("content", {})
    if answer.status_code == 204:
        assert not described
        assert not answer.content
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    if kind == "application/json":
        check(answer.json(), described[kind]["schema"])
    else:
        assert kind in described or "application/octet-stream" in described
        assert content_of(answer)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_errors_are_as_described(row: Row, things: Things) -> None:
    responses = operation_of(row)["responses"]
    error = responses["default"]["content"]["application/json"]["schema"]
    assert error == {"$ref": "#/components/schemas/Error"}
    for client in (things.people.viewer.api, things.people.service.api, things.people.stranger.api):
        answer = call(client, row, things.missing)
        if answer.status_code >= 400:
            check(answer.json(), error)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_requests_are_as_described(name: str, things: Things) -> None:
    row = next(row for row in ROWS if row.name == name)
    content = operation_of(row)["requestBody"]["content"]
    body = {
        key: value.format(**things.names) if isinstance(value, str) else value
        for key, value in BODIES[name].items()
    }
    kind = "multipart/form-data" if "file" in body else "application/json"
    assert set(content) <= {"multipart/form-data", "application/json"}
    check(body, content[kind]["schema"])


@pytest.mark.parametrize("address", sorted(LISTS))
def test_lists_have_one_shape(address: str) -> None:
    operation = operations()[f"GET {address}"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    listed = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    resource = address.rpartition("/")[2].replace("-", "_")
    if LISTS[address] == "nextCursor":
        resource = camel_case(resource)
    assert set(listed["properties"]) == {resource, LISTS[address]}
    assert set(listed["required"]) == set(listed["properties"])
    limit = next(each for each in operation["parameters"] if each["name"] == "limit")
    assert limit["schema"]["maximum"] == LARGEST_LIMIT
    assert any(each["name"] == "cursor" for each in operation["parameters"])


def test_no_list_is_forgotten() -> None:
    named = {
        name
        for name, operation in operations().items()
        if any(each["name"] == "cursor" for each in operation.get("parameters", ()))
    }
    assert named == {f"GET {address}" for address in LISTS}


def test_headers_are_described() -> None:
    for name, operation in operations().items():
        headers = {each["name"] for each in operation["parameters"] if each["in"] == "header"}
        creates = name.startswith("POST ") and name.removeprefix("POST ") not in NEED_NO_KEY
        wanted = {"X-Tenant-ID", "X-User-ID"} | ({"Idempotency-Key"} if creates else set())
        assert headers == wanted, name


def test_the_words_of_a_search_are_described_each() -> None:
    given = {row["name"]: row for row in document()["paths"]["/api/messages"]["get"]["parameters"]}
    for name in ("q", "from", "to", "subject"):
        assert given[name]["description"]
        assert given[name]["schema"]["maxLength"]


def test_how_to_log_in_is_described() -> None:
    schemes = document()["components"]["securitySchemes"]
    assert schemes["apiKey"]["scheme"] == "bearer"
    assert schemes["session"]["in"] == "cookie"
    for operation in operations().values():
        assert operation["security"] == [{"apiKey": []}, {"session": []}]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_idempotent_calls_act_once(row: Row, things: Things) -> None:
    """Wherever the document offers the header, it is obeyed."""
    if not any(each["name"] == "Idempotency-Key" for each in operation_of(row)["parameters"]):
        return
    name = "owner" if row.needs.startswith("admin") else "member"
    owner = getattr(things.people, name)
    owner.api.credentials(HTTP_AUTHORIZATION=f"Token {owner.key}", HTTP_IDEMPOTENCY_KEY="one")
    try:
        first = call(owner.api, row, things.names)
        after = _counted()
        again = call(owner.api, row, things.names)
    finally:
        owner.api.credentials(HTTP_AUTHORIZATION=f"Token {owner.key}")
    assert str(first.status_code) == row.expected[name]
    if first.status_code >= 400:
        assert "Idempotent-Replayed" not in again.headers
        return
    assert again.status_code == first.status_code
    assert again.headers["Idempotent-Replayed"] == "true"
    shown_once = {"key": "", "secret": ""}
    assert {**first.json(), **shown_once} == {**again.json(), **shown_once}
    assert _counted() == after


def _counted() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (EmailAccount, ApiKey, EventWebhook, Event))


def test_the_document_is_shown_without_any_other_server(people: People) -> None:
    page = Client().get("/api/docs")
    assert page.status_code == 200
    text = page.content.decode()
    assert "/api/schema" in text or "?script" in text
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)

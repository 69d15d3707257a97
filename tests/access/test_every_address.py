"""No endpoint is forgotten: each is in the table of who may do what, or public by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.api.viewsets import CallerViewSet, TenantViewSet
from accounts.caller import SCOPES
from accounts.permissions import CallerMayAct
from mailhub import api_urls
from tests.access.table import BODIES, PUBLIC, ROWS
from tests.people import People

_PARAMETER = re.compile(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)|<[^>]+>")


def walk(entries: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Address with `{}` for each parameter, and its pattern."""
    for entry in entries:
        text = _PARAMETER.sub("{}", str(entry.pattern))
        address = prefix + text.removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, address)
        else:
            yield address.replace("\\", ""), entry


API = list(walk(api_urls.urlpatterns))


def actions(entry: URLPattern) -> dict[str, str]:
    """Method → what the view calls it."""
    found: dict[str, str] | None = getattr(entry.callback, "actions", None)
    if found is None:
        return {"get": "get"}
    allowed = entry.callback.cls.http_method_names  # type: ignore[attr-defined]  # of rest_framework
    return {method: action for method, action in found.items() if method in allowed}


def test_each_endpoint_is_in_the_table_or_public() -> None:
    offered = {
        f"{method.upper()} {address}"
        for address, entry in API
        for method in actions(entry)
        if method != "head"
    }
    described = {re.sub(r"\{\w+\}|(?<=attachments/)0$", "{}", row.endpoint) for row in ROWS}
    assert offered == described | PUBLIC


def test_bodies_belong_to_rows() -> None:
    assert set(BODIES) <= {row.name for row in ROWS}
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("address", "entry"), API, ids=[address for address, _ in API])
def test_each_view_is_scoped_or_public(address: str, entry: URLPattern) -> None:
    if _is_public(address):
        return
    view: Any = entry.callback.cls  # type: ignore[attr-defined]  # a view of rest_framework
    assert issubclass(view, TenantViewSet | CallerViewSet)
    assert view.scope in SCOPES
    assert view.permission_classes == [CallerMayAct]
    if issubclass(view, TenantViewSet):
        assert hasattr(view.queryset, "for_caller")
    for action in actions(entry).values():
        own = getattr(view, action).__dict__.get("kwargs", {})
        assert not {"permission_classes", "authentication_classes"} & own.keys()


@pytest.mark.parametrize("address", sorted({address for address, _ in API}))
@pytest.mark.parametrize("base", ["/api/", "/v1/"])
def test_without_a_key_nothing_answers(address: str, base: str, people: People) -> None:
    """Whatever the method, those included that the endpoint does not offer."""
    if _is_public(address):
        return
    client = APIClient(raise_request_exception=False)
    for method in ("get", "head", "options", "post", "put", "patch", "delete"):
        answer = getattr(client, method)(base + address.replace("{}", "1@example.org"))
        assert answer.status_code in (401, 404, 405), method
        if answer.status_code == 405:
            assert method not in actions(_entry(address))


def _is_public(address: str) -> bool:
    return any(name.partition(" ")[2] == address for name in PUBLIC)


def _entry(address: str) -> URLPattern:
    return next(entry for other, entry in API if other == address)


def test_nothing_else_is_mounted() -> None:
    """What stands beside the API and the pages, each held by a test of its own."""
    mounted = {str(entry.pattern) for entry in get_resolver().url_patterns}
    assert mounted == {"api/", "v1/", "admin/", "healthz", "readyz", "metrics", ""}


ADMIN = [
    address
    for address, entry in walk(
        [each for each in get_resolver().url_patterns if str(each.pattern) == "admin/"]
    )
    if entry.name not in ("login", "logout", "jsi18n")
]


def test_the_admin_is_for_staff_alone(people: People) -> None:
    client = Client()
    client.force_login(people.owner.user)
    assert len(ADMIN) > 20
    for address in ADMIN:
        answer = client.get("/" + address.replace("{}", "1").replace("(.*)", "x"))
        assert answer.status_code in (302, 404, 405), address
        if answer.status_code == 302:
            assert "/admin/login/" in answer["Location"], address

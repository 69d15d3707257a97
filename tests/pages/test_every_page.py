"""No page without a guard."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver

from mailhub.page_urls import urlpatterns
from tests.pages.conftest import Visit
from tests.people import People

# The way back from a provider is also that of an API client's people, who have no login here.
PUBLIC = {
    "login",
    "logout",
    "confirm/<str:token>",
    "preferences/<str:token>",
    "u/<str:token>",
    "o/<str:token>.gif",
    "c/<str:token>",
    "oauth2/<slug:provider>/callback",
}


def walk(
    patterns: list[URLPattern | URLResolver], prefix: str = ""
) -> Iterator[tuple[str, URLPattern]]:
    """Every page: its address with its parameters' names, and its pattern."""
    for entry in patterns:
        address = f"{prefix}{entry.pattern}"
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, address)
        else:
            yield address, entry


PAGES = dict(walk(urlpatterns))
PARAMETER = re.compile(r"<(?:(\w+):)?\w+>")


def test_each_page_is_guarded_or_listed_as_public() -> None:
    unguarded = {
        address for address, entry in PAGES.items() if not hasattr(entry.callback, "page_scope")
    }
    assert unguarded == PUBLIC


@pytest.mark.parametrize("address", sorted(PAGES.keys() - PUBLIC))
def test_a_visitor_who_is_not_logged_in_is_sent_to_the_login(address: str, db: None) -> None:
    path = f"/{PARAMETER.sub(_example, address)}"
    for method in ("get", "post"):
        answer = getattr(Client(), method)(path)
        if answer.status_code == 405:
            continue
        assert answer.status_code == 302
        assert answer["Location"] == f"/login?next={path}"


@pytest.mark.parametrize("address", sorted(PAGES.keys() - PUBLIC))
def test_no_page_is_kept_by_a_cache(address: str, people: People, visit: Visit) -> None:
    answer = visit(people.owner).get(f"/{PARAMETER.sub(_example, address)}")
    assert answer.status_code == 405 or "no-store" in answer["Cache-Control"]


def _example(match: re.Match[str]) -> str:
    return {"int": "1", "uuid": "00000000-0000-4000-8000-000000000000"}.get(match[1] or "", "none")

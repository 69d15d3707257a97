"""Pages by key: nothing twice, nothing left out, and no foreign cursor reaches a query."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Credential
from mailhub.api.pagination import page_after, read_cursor, read_limit, write_cursor
from mailhub.errors import InvalidInput
from tests.people import People

START = datetime(2026, 1, 1, tzinfo=UTC)


def add(people: People, at: datetime) -> Credential:
    credential = Credential.objects.create(
        tenant=people.tenant, user=people.member.user, kind="password"
    )
    Credential.objects.filter(pk=credential.pk).update(created_at=at)
    return credential


@pytest.mark.parametrize("ordering", ["created_at", "-created_at", "pk", "-pk"])
def test_each_row_once_though_many_share_a_moment_and_more_are_added(
    people: People, ordering: str
) -> None:
    old = {add(people, START + timedelta(seconds=number // 4)).pk for number in range(17)}
    seen: list[Any] = []
    cursor = None
    while True:
        rows = page_after(Credential.objects.all(), ordering, cursor, 4)
        seen += [row.pk for row in rows[:3]]
        if len(rows) < 4:
            break
        last = rows[2]
        cursor = write_cursor(
            ordering, last.created_at if "created" in ordering else last.pk, last.pk
        )
        add(people, START - timedelta(days=1))
        add(people, START + timedelta(days=1))
    assert len(seen) == len(set(seen))
    assert old <= set(seen)


def test_page_that_ends_exactly_has_no_next(people: People) -> None:
    for _ in range(4):
        add(people, START)
    first = people.member.api.get("/api/credentials?limit=2").json()
    second = people.member.api.get(
        "/api/credentials", {"limit": "2", "cursor": first["nextCursor"]}
    ).json()
    assert (len(second["credentials"]), second["nextCursor"]) == (2, None)


def forged(*values: Any) -> str:
    return base64.urlsafe_b64encode(b"x" * 12 + json.dumps(values).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "====",
        "A" * 10_000,
        forged("-created_at", "2026-01-01", "1"),
        forged("-created_at", None, None),
        forged("-created_at", {"a": 1}, []),
        write_cursor("created_at", START, "1"),
        write_cursor("-created_at", START),
        write_cursor("-created_at", "not a time", "not an id"),
        write_cursor("-created_at", None, None),
        write_cursor(1, 2, 3),
    ],
)
def test_foreign_cursor_is_refused(people: People, cursor: str) -> None:
    add(people, START)
    response = people.member.api.get("/api/credentials", {"cursor": cursor})
    assert response.status_code == 400
    assert list(response.json()["details"]["fields"]) == ["cursor"]


def test_cursor_with_one_letter_changed_is_refused() -> None:
    cursor = write_cursor("-pk", 17, 17)
    for position in range(0, len(cursor) - 1):
        letter = "A" if cursor[position] != "A" else "B"
        with pytest.raises(InvalidInput):
            read_cursor(cursor[:position] + letter + cursor[position + 1 :], 3)


@given(st.lists(st.none() | st.booleans() | st.integers() | st.text(), min_size=1, max_size=4))
def test_cursor_comes_back_as_it_went(parts: list[Any]) -> None:
    assert read_cursor(write_cursor(*parts), len(parts)) == parts


@given(st.text())
def test_any_text_is_a_cursor_of_ours_or_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_cursor(text, 3)


@pytest.mark.parametrize(
    "text", ["0", "-1", "501", "x", "", "1.5", "1e2", "²", "00000001000", " 5"]
)
def test_limit_that_is_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_limit(text)


def test_limit_that_is_one() -> None:
    assert (read_limit(None), read_limit("1"), read_limit("500"), read_limit("007")) == (
        50,
        1,
        500,
        7,
    )

"""What goes wrong is a page too, and needs nothing that may be broken."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.test import Client, RequestFactory

from mailhub.pages import server_error
from tests.pages.conftest import Visit
from tests.people import People


def test_an_unknown_address_is_a_page(db: None) -> None:
    answer = Client().get("/no/such/page")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text


def test_an_unknown_address_of_the_api_has_the_shape_of_the_api(people: People) -> None:
    answer = Client().get("/api/no-such-thing")
    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"QUERY_STRING": "next=%00"}, 400, "The query behind the ? holds a NUL character."),
        ({"PATH_INFO": "/a\0b"}, 400, "The path holds a NUL character."),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 411, "Send the body with a Content-Length."),
    ],
)
def test_what_is_refused_at_the_door_is_a_page_too(
    given: dict[str, Any], status: int, words: str
) -> None:
    answer = Client().get("/login", **given)
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert words in answer.text
    assert "Back to the start" in answer.text


class LeavingVisitor(io.RawIOBase):
    """A body whose sender goes away in its middle."""

    def read(self, _size: int = -1, /) -> bytes:
        raise ConnectionResetError("gone")


@pytest.mark.parametrize("body", [io.BytesIO(b"x" * 100_000), LeavingVisitor()])
def test_a_body_that_is_too_large_is_a_page_too(body: io.IOBase) -> None:
    given: Any = {"CONTENT_LENGTH": str(1 << 40), "wsgi.input": body}
    answer = Client().post("/login", **given)
    assert answer.status_code == 413
    assert "What was sent is larger than 40 MB." in answer.text


def test_the_page_of_a_defect_needs_no_database() -> None:
    answer = server_error(RequestFactory().get("/"))
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text


def test_every_page_forbids_foreign_and_inline_scripts(people: People, visit: Visit) -> None:
    for answer in (visit(people.member).get("/"), Client().get("/login"), Client().get("/nothing")):
        policy = answer["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "<script>" not in answer.text
        assert "style=" not in answer.text
        assert " onclick=" not in answer.text

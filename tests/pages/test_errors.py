"""What goes wrong is a page too, and needs nothing that may be broken."""

from __future__ import annotations

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

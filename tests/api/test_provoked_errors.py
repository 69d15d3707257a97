"""What anybody can provoke is one line in the log, and no alarm."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from mailhub.logs import ProvokedErrorFilter, formatter
from tests.people import People
from tests.servers.processes import free_port


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a handler that is set up as the product's own writes, from WARNING on."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter("text"))
    handler.addFilter(ProvokedErrorFilter())
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def foreign_host(client: Client) -> Any:
    return client.get("/api/accounts", HTTP_HOST="evil.example")


def endless_foreign_host(client: Client) -> Any:
    return client.get("/login", HTTP_HOST="x" * 5_000)


def too_many_fields(client: Client) -> Any:
    return client.post("/login", "a=b&" * 1_001, content_type="application/x-www-form-urlencoded")


def too_many_parts(client: Client) -> Any:
    part = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    return client.post(
        "/login", part * 1_001 + "--x--", content_type="multipart/form-data; boundary=x"
    )


def too_many_files(client: Client) -> Any:
    part = '--x\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\nb\r\n'
    return client.post(
        "/login", part * 101 + "--x--", content_type="multipart/form-data; boundary=x"
    )


def multipart_without_a_boundary(client: Client) -> Any:
    return client.post("/login", b"a", content_type="multipart/form-data")


def multipart_with_a_bad_length(client: Client) -> Any:
    return client.generic(
        "POST", "/login", b"a", "multipart/form-data; boundary=x", CONTENT_LENGTH="-1"
    )


PROVOCATIONS = [
    foreign_host,
    endless_foreign_host,
    too_many_fields,
    too_many_parts,
    too_many_files,
    multipart_without_a_boundary,
    multipart_with_a_bad_length,
]


@pytest.mark.parametrize("provoke", PROVOCATIONS)
@pytest.mark.django_db
def test_a_provoked_error_is_one_short_line(
    log: io.StringIO, provoke: Callable[[Client], Any]
) -> None:
    answer = provoke(Client(enforce_csrf_checks=True, raise_request_exception=False))
    assert 400 <= answer.status_code < 500
    lines = log.getvalue().splitlines()
    assert len(lines) <= 1
    for line in lines:
        assert "WARNING" in line
        assert len(line) < 1_000


@pytest.mark.parametrize(
    ("provoke", "words"),
    [(too_many_parts, "too many fields"), (too_many_files, "too many fields")],
)
def test_an_upload_to_the_api_hears_what_is_wrong(
    people: People, log: io.StringIO, provoke: Callable[[Client], Any], words: str
) -> None:
    class Uploading(Client):
        def post(self, _path: str, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]  # for this test alone
            api = people.member.api
            return api.generic("POST", "/api/contacts/import", arguments[0], **options)

    answer = provoke(Uploading())
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert len(log.getvalue().splitlines()) == 1


def test_the_line_names_no_path_with_a_right_in_it(log: io.StringIO) -> None:
    Client().get("/u/a-token-of-somebody", HTTP_HOST="evil.example")
    assert "evil.example" in log.getvalue()
    assert "a-token-of-somebody" not in log.getvalue()


def test_a_users_mail_server_that_is_away_is_no_alarm(people: People, log: io.StringIO) -> None:
    server = {"host": "127.0.0.1", "port": free_port(), "secure": False, "allowPlaintext": True}
    credentials = {**server, "auth": {"user": "ann", "pass": "secret"}}
    answer = people.member.api.post(
        "/api/empty-trash", {"smtpCredentials": credentials, "all": True}
    )
    assert answer.status_code == 502, answer.content
    [line] = log.getvalue().splitlines()
    assert "[django.request] WARNING: Bad Gateway: /api/empty-trash" in line
    assert "WSGIRequest" not in line


def fail(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("in our own code")


urlpatterns = [path("defect", fail)]
handler500 = "mailhub.pages.server_error"


@pytest.mark.urls(__name__)
def test_a_defect_is_an_error_with_its_traceback(log: io.StringIO) -> None:
    assert Client(raise_request_exception=False).get("/defect").status_code == 500
    assert "[django.request] ERROR: Internal Server Error: /defect" in log.getvalue()
    assert "RuntimeError: in our own code" in log.getvalue()


def test_other_errors_keep_their_level_and_their_traceback(log: io.StringIO) -> None:
    try:
        raise SuspiciousOperation("in our own code")
    except SuspiciousOperation:
        logging.getLogger("mailhub.test").exception("failed")
    lines = log.getvalue().splitlines()
    assert "ERROR: failed" in lines[0]
    assert len(lines) > 3


def test_a_log_of_errors_alone_leaves_it_out(log: io.StringIO) -> None:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        Client().get("/login", HTTP_HOST="evil.example")
    finally:
        root.setLevel(before)
    assert log.getvalue() == ""


def test_the_products_own_handler_has_the_filter() -> None:
    handler = settings.LOGGING["handlers"]["stream"]
    assert handler["filters"] == ["provoked_errors"]
    assert settings.LOGGING["filters"]["provoked_errors"]["()"].endswith(
        ProvokedErrorFilter.__name__
    )

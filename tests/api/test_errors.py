"""Every error leaves in one shape, whoever finds it."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django.live_server_helper import LiveServer
from rest_framework import exceptions

from mailhub import errors
from mailhub.api.errors import as_mailhub_error, from_mail_error
from mailhub.mail import errors as mail
from tests.people import People


def check(response: Any, status: int, code: str) -> dict[str, Any]:
    """The answer's body, after its shape was checked."""
    answer: dict[str, Any] = response.json()
    assert (response.status_code, answer["error"]) == (status, code), answer
    assert response["Content-Type"].startswith("application/json")
    assert sorted(answer) == ["details", "error", "message", "status"]
    assert answer["status"] == "error"
    assert answer["message"]
    return answer


def test_address_that_leads_nowhere(people: People) -> None:
    for path in ("/api/nowhere", "/v1/nowhere", "/api/accounts/x/y/z"):
        check(Client().get(path), 404, "not_found")
    check(people.member.api.get("/api/accounts/not-an-id"), 404, "not_found")


def test_method_that_is_not_there(people: People) -> None:
    response = people.member.api.put("/api/accounts", {})
    check(response, 405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_content_type_that_is_not_taken(people: People) -> None:
    for content_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded",
                         "multipart/form-data; boundary=x", "nonsense"):  # fmt: skip
        response = people.member.api.post("/api/accounts", b"a=b", content_type=content_type)
        check(response, 415, "unsupported_media_type")


def test_answer_format_that_is_not_spoken(people: People) -> None:
    response = people.member.api.get("/api/accounts", HTTP_ACCEPT="application/xml")
    check(response, 406, "not_acceptable")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, "not_authenticated"),
        ({"HTTP_AUTHORIZATION": "Token nonsense"}, "invalid_key"),
        ({"HTTP_AUTHORIZATION": "Bearer mh_aaaaaaaa_" + "b" * 40}, "invalid_key"),
        ({"HTTP_AUTHORIZATION": "Token"}, "invalid_key"),
        ({"HTTP_AUTHORIZATION": "Token a b"}, "invalid_key"),
        ({"HTTP_AUTHORIZATION": "Token mh_\x00aaaaaaa_" + "b" * 40}, "invalid_key"),
        ({"HTTP_AUTHORIZATION": "Basic YTpi"}, "not_authenticated"),
        ({"HTTP_X_TENANT_ID": "acme", "HTTP_X_USER_ID": "mary"}, "not_authenticated"),
    ],
)
@pytest.mark.django_db
def test_caller_without_a_good_key(header: dict[str, Any], code: str) -> None:
    response = Client().get("/api/accounts", **header)
    check(response, 401, code)
    assert response["WWW-Authenticate"] == "Token"


def test_host_that_is_not_ours() -> None:
    answer = check(Client().get("/api/accounts", HTTP_HOST="evil.example"), 400, "invalid")
    assert "host of this address is not known here" in answer["message"]
    assert "evil.example" not in answer["message"]


def test_everyone_who_finds_an_error_writes_it_alike(people: People) -> None:
    for path in ("/api/accounts/not-an-id", "/api/nowhere", "/api/messages/abc", "/api/a%00b"):
        content = people.member.api.get(path).content
        assert content.startswith(b'{"status":"error","error":"'), content
        assert content.endswith(b'","details":{}}')


def test_nul_in_an_address(people: People) -> None:
    for path in ("/api/users/a%00b", "/api/accounts?tenant_id=%00", "/v1/accounts?cursor=a%00"):
        check(people.member.api.get(path), 400, "invalid")
    assert Client().get("/login?next=%00").status_code == 400


def test_body_of_60_megabytes_over_a_real_server(live_server: LiveServer) -> None:
    connection = http.client.HTTPConnection(live_server.thread.host, live_server.thread.port)
    piece = b" " * (1 << 20)
    connection.putrequest("POST", "/api/accounts")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(60 * len(piece)))
    connection.endheaders()
    for _ in range(60):
        connection.send(piece)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 413
    assert b'"error":"too_large"' in body
    assert b"40 MB" in body


def test_body_in_chunks_is_refused_and_not_taken_for_an_empty_one(people: People) -> None:
    response = people.member.api.post("/api/credentials", {}, HTTP_TRANSFER_ENCODING="chunked")
    check(response, 411, "length_required")


@pytest.mark.parametrize("length", ["²", "-1", "abc", ""])
def test_declared_length_that_is_no_number(people: People, length: str) -> None:
    response = people.member.api.get("/api/accounts", CONTENT_LENGTH=length)
    assert response.status_code < 500


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (mail.HostNotAllowed("x"), 400, "host_not_allowed"),
        (mail.HostNotFound("x"), 502, "host_not_found"),
        (mail.ConnectionFailed("x"), 502, "connection_failed"),
        (mail.ServerTimeout("x"), 504, "server_timeout"),
        (mail.LoginFailed("x"), 422, "login_failed"),
        (mail.LoginDeferred("x"), 503, "login_deferred"),
        (mail.EncryptionRefused("x"), 502, "encryption_refused"),
        (mail.FolderMissing("x"), 422, "folder_missing"),
        (mail.MessageMissing("x"), 404, "message_missing"),
        (mail.MessageRefused("x", mail.Reply(550, "no")), 422, "message_refused"),
        (mail.MessageRefused("x", mail.Reply(451, "later")), 502, "message_refused"),
        (mail.DeliveryUncertain("x"), 502, "delivery_uncertain"),
        (mail.InvalidMessage("x"), 400, "invalid_message"),
        (exceptions.Throttled(1.2), 429, "too_many_requests"),
        (OperationalError("database is locked"), 503, "busy"),
    ],
)
def test_each_expected_error_has_its_status(error: Exception, status: int, code: str) -> None:
    known = as_mailhub_error(error)
    assert known is not None
    assert (known.status, known.code) == (status, code)
    if status in (429, 503):
        assert known.details["retry_after"] == known.retry_after


def test_servers_reply_is_passed_on() -> None:
    error = mail.LoginFailed("Refused.", mail.Reply(535, "bad credentials", "5.7.8"))
    assert from_mail_error(error).details == {"reply": "535 5.7.8 bad credentials"}


def test_defect_is_not_taken_for_an_expected_error() -> None:
    assert as_mailhub_error(KeyError("x")) is None
    assert as_mailhub_error(errors.Busy("x")) is not None

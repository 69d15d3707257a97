"""What send-email is told: each option arrives as it was meant, what is wrong is named."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.mailboxes.operations.calls import (
    MAIL,
    USER,
    call,
    of_receiver,
    received,
    refusal,
    send,
)
from tests.people import People
from tests.servers.smtp import SmtpReceiver

PICTURE = b"\x89PNG" + bytes(range(256))
EVERY_OPTION = {
    "from": {"name": "Ada Löve", "address": USER},
    "to": 'Bo <bo@example.org>, "Lee, Cy" <cy@example.org>',
    "cc": ["Di <di@example.org>", {"name": "Ed, Jr.", "address": "ed@example.org"}],
    "bcc": "secretly@example.org",
    "replyTo": "answers@example.org",
    "subject": "Grüße — привет",
    "text": "Söhne\n.\nline",
    "html": '<p>Bild: <img src="cid:pic"></p>',
    "headers": {"X-Campaign": "spring", "X-Many": ["one", "two"]},
    "attachments": [
        {"filename": "notes ä.txt", "content": "Übung", "encoding": "utf-8"},
        {
            "filename": "pic.png",
            "content": base64.b64encode(PICTURE).decode(),
            "encoding": "base64",
            "cid": "pic",
        },
        {"filename": "data", "content": "{}", "contentType": "application/json"},
    ],
    "inReplyTo": "first@example.org",
    "references": ["<zero@example.org>", "first@example.org"],
    "priority": "high",
}


def test_every_option_arrives_as_it_was_meant(people: People, receiver: SmtpReceiver) -> None:
    response = send(people, receiver, **EVERY_OPTION)
    assert response.status_code == 200
    message = received(receiver)
    assert receiver.messages[0].envelope.recipients == (
        *("bo@example.org", "cy@example.org", "di@example.org", "ed@example.org"),
        "secretly@example.org",
    )
    assert message["From"] == "Ada Löve <ada@example.org>"
    assert message["To"] == 'Bo <bo@example.org>, "Lee, Cy" <cy@example.org>'
    assert message["Cc"] == 'Di <di@example.org>, "Ed, Jr." <ed@example.org>'
    assert b"secretly" not in receiver.messages[0].content
    assert message["Reply-To"] == "answers@example.org"
    assert message["Subject"] == "Grüße — привет"
    assert (message["X-Campaign"], message.get_all("X-Many")) == ("spring", ["one", "two"])
    assert message["In-Reply-To"] == "<first@example.org>"
    assert message["References"] == "<zero@example.org> <first@example.org>"
    assert (message["X-Priority"], message["Importance"]) == ("1", "High")
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == ["Söhne", ".", "line"]
    assert "cid:pic" in html.get_content()
    files = {part.get_filename(): part for part in message.walk() if part.get_filename()}
    assert files["notes ä.txt"].get_content() == "Übung"
    assert files["pic.png"].get_content() == PICTURE
    assert files["pic.png"]["Content-ID"] == "<pic>"
    assert files["pic.png"].get_content_type() == "image/png"
    assert files["data"].get_content_type() == "application/json"


def test_without_from_it_is_from_the_login(people: People, receiver: SmtpReceiver) -> None:
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": {"to": "bo@example.org"}}
    assert call(people.member.api, "send-email", body).status_code == 200
    assert received(receiver)["From"] == USER


@pytest.fixture
def refused(people: People, receiver: SmtpReceiver) -> Iterator[Callable[..., dict[str, Any]]]:
    """The 400 that some mail options get; nothing reaches the server."""

    def ask(**changes: Any) -> dict[str, Any]:
        response = send(people, receiver, **changes)
        assert response.status_code == 400, response.content
        body: dict[str, Any] = response.json()
        return body

    yield ask
    assert receiver.connections == 0


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"to": "nobody"}, "to"),
        ({"to": [{"name": "Bo"}]}, "to"),
        ({"to": [{"address": "bo@example.org", "role": "x"}]}, "to"),
        ({"cc": 5}, "cc"),
        ({"bcc": ["bo@example.org\r\nRCPT TO:<x@example.org>"]}, "bcc"),
        ({"from": "Ada <ada@example.org>, x@example.org"}, "from"),
        ({"attachements": []}, "attachements"),
        ({"attachments": [{"filename": "a", "path": "/etc/passwd"}]}, "attachments"),
        ({"attachments": [{"filename": "a", "content": "???", "encoding": "base64"}]},
         "attachments"),
        ({"attachments": [{"filename": "a", "content": "", "contentType": "nonsense"}]},
         "attachments"),
        ({"priority": "urgent"}, "priority"),
        ({"headers": ["X-A: b"]}, "headers"),
        ({"headers": {"X-A": 5}}, "headers"),
        ({"references": [5]}, "references"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named(
    refused: Callable[..., dict[str, Any]], changes: dict[str, Any], place: str
) -> None:
    body = refused(**changes)
    assert body["error"] == "invalid"
    assert list(body["details"]["fields"]["mailOptions"]) == [place]


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Hello\r\nBcc: x@example.org"},
        {"headers": {"X-A": "b\r\nBcc: x@example.org"}},
        {"headers": {"Bcc": "x@example.org"}},
        {"headers": {"X A": "b"}},
        {"inReplyTo": "a b"},
        {"references": ["<a\n@b>"]},
        {"attachments": [{"filename": "a", "content": "", "cid": "a b"}]},
        {"to": [], "cc": "", "bcc": []},
    ],
)
def test_nothing_gets_into_the_header(
    refused: Callable[..., dict[str, Any]], changes: dict[str, Any]
) -> None:
    assert refused(**changes)["error"] in {"invalid_message", "invalid"}


def test_limits_have_names(
    refused: Callable[..., dict[str, Any]],
    people: People,
    receiver: SmtpReceiver,
    settings: Settings,
) -> None:
    settings.MAILHUB_RECIPIENT_LIMIT = 3
    many = [f"user{number}@example.org" for number in range(4)]
    assert refused(to=many[:2], bcc=many[2:])["error"] == "too_many_recipients"
    attachment = {"filename": "setup.EXE. ", "content": "MZ"}
    assert refused(attachments=[attachment])["error"] == "attachment_refused"
    settings.MAILHUB_MESSAGE_LIMIT = 5_000
    large = send(people, receiver, text="0123456789 " * 500)
    assert refusal(large)[:2] == (413, "message_too_large")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"port": 0}, "port"),
        ({"port": 70_000}, "port"),
        ({"host": "a b"}, "host"),
        ({"host": "http://example.org"}, "host"),
        ({"tls": True}, "tls"),
        ({"auth": None}, "auth"),
        ({"auth": {"user": "a"}}, "auth"),
        ({"auth": {"user": "a", "accessToken": "x"}}, "auth"),
        ({"auth": {"user": "a", "pass": "b\r\nc"}}, "auth"),
        ({"auth": {"user": "a", "password": "b"}}, "auth"),
        ({"auth": {"type": "OAuth2", "user": "a"}}, "auth"),
        ({"auth": {"type": "OAuth2", "user": "a", "pass": "b", "accessToken": "c"}}, "auth"),
        ({"auth": {"type": "OAuth2", "user": "a", "refreshToken": "c"}}, "auth"),
        ({"auth": {"type": "OAuth2", "user": "a", "accessToken": "c",
                   "tokenUrl": "http://example.org/token"}}, "auth"),
    ],
)  # fmt: skip
def test_credentials_that_are_wrong_are_named(
    people: People, receiver: SmtpReceiver, changes: dict[str, Any], place: str
) -> None:
    response = send(people, receiver, of_receiver(receiver, **changes))
    assert refusal(response)[:2] == (400, "invalid")
    assert list(response.json()["details"]["fields"]["smtpCredentials"]) == [place]
    assert receiver.connections == 0


def test_without_credentials_it_says_so(people: People) -> None:
    response = call(people.member.api, "send-email", {"mailOptions": MAIL})
    assert refusal(response)[:2] == (400, "credentials_required")

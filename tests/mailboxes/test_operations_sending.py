"""send-email over a real SMTP server that also refuses, falls silent and hangs up."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from mailhub.mail.server import Encryption
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.mailboxes.operation_calls import PASSWORD, USER, by_password, call, of_receiver
from tests.people import People
from tests.servers.certificates import make_certificate
from tests.servers.smtp import SmtpReceiver

StartReceiver = Callable[..., SmtpReceiver]
MAIL = {"from": USER, "to": "bo@example.org", "subject": "Hello", "text": "Hi"}


@pytest.fixture
def receiver(start_smtp_receiver: StartReceiver) -> SmtpReceiver:
    return start_smtp_receiver(users={USER: PASSWORD})


@pytest.fixture
def short_wait(settings: Settings) -> None:
    settings.MAILHUB_MAIL_TIMEOUT = 1.5


def send(people: People, receiver: SmtpReceiver, credentials: Any = None, **changes: Any) -> Any:
    body = {
        "smtpCredentials": credentials or of_receiver(receiver),
        "mailOptions": {**MAIL, **changes},
    }
    return call(people.member.api, "send-email", body)


def received(receiver: SmtpReceiver) -> EmailMessage:
    (message,) = receiver.messages
    parsed = message_from_bytes(message.content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def refusal(response: Any) -> tuple[int, str, str]:
    """Status, code and the server's words; the body has the one shape."""
    body = response.json()
    assert set(body) == {"status", "error", "message", "details"}
    assert (body["status"], PASSWORD in response.content.decode()) == ("error", False)
    return response.status_code, body["error"], body["details"].get("reply", "")


def test_a_message_is_sent_and_the_servers_words_are_told(
    people: People, receiver: SmtpReceiver
) -> None:
    response = send(people, receiver, to=["bo@example.org"], cc=["cy@example.org"])
    assert response.status_code == 200
    assert response.json() == {
        "status": "success",
        "messageId": received(receiver)["Message-ID"],
        "accepted": ["bo@example.org", "cy@example.org"],
        "rejected": [],
        "response": "250 2.0.0 OK",
    }
    assert received(receiver)["Cc"] == "cy@example.org"
    assert received(receiver).get_content().strip() == "Hi"


def test_the_other_base_sends_too(people: People, receiver: SmtpReceiver) -> None:
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": MAIL}
    assert people.member.api.post("/v1/send-email", body).status_code == 200
    assert len(receiver.messages) == 1


def test_every_option_arrives_as_it_was_meant(people: People, receiver: SmtpReceiver) -> None:
    picture = b"\x89PNG" + bytes(range(256))
    response = send(
        people,
        receiver,
        **{
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
                    "content": base64.b64encode(picture).decode(),
                    "encoding": "base64",
                    "cid": "pic",
                },
                {"filename": "data", "content": "{}", "contentType": "application/json"},
            ],
            "inReplyTo": "first@example.org",
            "references": ["<zero@example.org>", "first@example.org"],
            "priority": "high",
        },
    )
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
    assert files["pic.png"].get_content() == picture
    assert files["pic.png"]["Content-ID"] == "<pic>"
    assert files["pic.png"].get_content_type() == "image/png"
    assert files["data"].get_content_type() == "application/json"


def test_without_from_it_is_from_the_login(people: People, receiver: SmtpReceiver) -> None:
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": {"to": "bo@example.org"}}
    assert call(people.member.api, "send-email", body).status_code == 200
    assert received(receiver)["From"] == USER


def test_one_refused_recipient_of_three_is_named(people: People, receiver: SmtpReceiver) -> None:
    receiver.script.answer(Step.RCPT, "550 5.1.1 No such user", address="b@example.org")
    response = send(people, receiver, to=["a@example.org", "b@example.org", "c@example.org"])
    assert response.status_code == 200
    assert response.json()["accepted"] == ["a@example.org", "c@example.org"]
    assert response.json()["rejected"] == ["b@example.org"]
    assert receiver.messages[0].envelope.recipients == ("a@example.org", "c@example.org")


@pytest.mark.parametrize(
    ("step", "answer", "expected"),
    [
        (Step.RCPT, "550 5.1.1 No such user", (422, "recipient_refused", "550 5.1.1 No such user")),
        (Step.RCPT, "451 4.7.1 Greylisted", (502, "recipient_refused", "451 4.7.1 Greylisted")),
        (Step.RCPT, "452 4.5.3 Too many", (502, "recipient_refused", "452 4.5.3 Too many")),
        (Step.MAIL, "553 5.7.1 Not yours", (422, "command_refused", "553 5.7.1 Not yours")),
        (Step.DATA, "554 5.7.1 No", (422, "message_refused", "554 5.7.1 No")),
        (Step.CONTENT, "554 5.6.0 Spam", (422, "message_refused", "554 5.6.0 Spam")),
        (Step.CONTENT, "552 5.2.2 Full", (502, "message_refused", "552 5.2.2 Full")),
        (Step.CONTENT, "552 5.3.4 Too big", (422, "message_refused", "552 5.3.4 Too big")),
        (Step.LOGIN, "535 5.7.8 Wrong", (422, "login_failed", "535 5.7.8 Wrong")),
        (Step.LOGIN, "454 4.7.0 Later", (503, "login_deferred", "454 4.7.0 Later")),
        (Step.CONNECT, "421 4.3.2 Busy", (502, "command_refused", "421 4.3.2 Busy")),
    ],
)
def test_what_the_server_refuses_is_told_in_its_words(
    people: People,
    receiver: SmtpReceiver,
    step: Step,
    answer: str,
    expected: tuple[int, str, str],
) -> None:
    receiver.script.answer(step, answer)
    assert refusal(send(people, receiver)) == expected
    assert receiver.messages == []


@pytest.mark.parametrize(
    "step", [step for step in Step if step not in (Step.STARTTLS, Step.CONTENT)]
)
def test_a_connection_lost_before_the_message_sends_nothing(
    people: People, receiver: SmtpReceiver, step: Step
) -> None:
    receiver.script.answer(step, Disturbance.DROP)
    status, code, _ = refusal(send(people, receiver))
    assert (status, code) == (502, "connection_failed")
    assert receiver.messages == []


@pytest.mark.parametrize("disturbance", [Disturbance.DROP, Disturbance.ACCEPT_AND_DROP])
def test_a_connection_lost_after_the_message_is_uncertain_and_never_tried_again(
    people: People, receiver: SmtpReceiver, disturbance: Disturbance
) -> None:
    receiver.script.answer(Step.CONTENT, disturbance, times=1)
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": MAIL}
    for _ in range(2):
        response = call(people.member.api, "send-email", body, idempotency_key="once")
        assert refusal(response)[:2] == (502, "delivery_uncertain")
    assert receiver.commands.count("DATA") == 1


@pytest.mark.parametrize("step", [Step.CONNECT, Step.LOGIN, Step.RCPT])
def test_a_silent_server_is_a_time_out(
    people: People, receiver: SmtpReceiver, short_wait: None, step: Step
) -> None:
    receiver.script.answer(step, Disturbance.HANG)
    assert refusal(send(people, receiver))[:2] == (504, "server_timeout")


def test_a_wrong_password_is_refused(people: People, receiver: SmtpReceiver) -> None:
    wrong = by_password(receiver.host, receiver.port, USER, "not it", allowPlaintext=True)
    assert refusal(send(people, receiver, wrong))[:2] == (422, "login_failed")
    assert receiver.messages == []


def test_a_closed_port_is_a_refused_connection(people: People, receiver: SmtpReceiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert refusal(send(people, receiver, of_receiver(receiver, port=port)))[:2] == (
        502,
        "connection_failed",
    )


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[::ffff:10.1.1.1]"])
def test_a_private_host_is_not_reached(people: People, receiver: SmtpReceiver, host: str) -> None:
    response = send(people, receiver, of_receiver(receiver, host=host))
    assert refusal(response)[:2] == (400, "host_not_allowed")


@pytest.fixture
def encrypted(
    start_smtp_receiver: StartReceiver, tmp_path: Path
) -> Callable[[Encryption], SmtpReceiver]:
    certificate, key = make_certificate(tmp_path, "127.0.0.1")
    return lambda encryption: start_smtp_receiver(
        encryption=encryption, certificate=certificate, key=key, users={USER: PASSWORD}
    )


@pytest.mark.parametrize(
    ("encryption", "secure"), [(Encryption.TLS, True), (Encryption.STARTTLS, False)]
)
def test_encrypted_connections(
    people: People,
    encrypted: Callable[[Encryption], SmtpReceiver],
    settings: Settings,
    encryption: Encryption,
    secure: bool,
) -> None:
    receiver = encrypted(encryption)
    response = send(people, receiver, of_receiver(receiver, secure=secure))
    assert refusal(response)[:2] == (502, "encryption_refused")
    settings.MAILHUB_CA_FILE = str(receiver.certificate)
    assert send(people, receiver, of_receiver(receiver, secure=secure)).status_code == 200
    assert len(receiver.messages) == 1


def test_starttls_is_required_unless_plaintext_is_asked_for_and_allowed(
    people: People, receiver: SmtpReceiver, settings: Settings
) -> None:
    credentials = of_receiver(receiver, allowPlaintext=False)
    assert refusal(send(people, receiver, credentials))[:2] == (502, "encryption_refused")
    settings.MAILHUB_ALLOW_PLAINTEXT = False
    assert refusal(send(people, receiver))[:2] == (400, "plaintext_not_allowed")
    assert not [command for command in receiver.commands if command.startswith("AUTH")]


def test_the_same_key_sends_once(people: People, receiver: SmtpReceiver) -> None:
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": MAIL}
    first = call(people.member.api, "send-email", body, idempotency_key="one")
    again = call(people.member.api, "send-email", body, idempotency_key="one")
    assert (again.json(), again["Idempotent-Replayed"]) == (first.json(), "true")
    assert len(receiver.messages) == 1


def test_after_a_refusal_the_same_key_may_be_tried_again(
    people: People, receiver: SmtpReceiver
) -> None:
    receiver.script.answer(Step.RCPT, "451 4.7.1 Greylisted", times=1)
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": MAIL}
    answers = [call(people.member.api, "send-email", body, idempotency_key="one") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [502, 200]
    assert len(receiver.messages) == 1


def test_a_server_that_repeats_the_password_is_not_quoted(
    people: People, receiver: SmtpReceiver
) -> None:
    encoded = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    receiver.script.answer(Step.RCPT, f"550 5.7.1 you are {PASSWORD} aka {encoded}")
    response = send(people, receiver)
    assert refusal(response) == (422, "recipient_refused", "550 5.7.1 you are … aka …")
    receiver.script.clear()
    receiver.script.answer(Step.CONTENT, f"250 2.0.0 OK {PASSWORD}")
    assert send(people, receiver).json()["response"] == "250 2.0.0 OK …"


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


def test_a_viewer_sends_nothing(people: People, receiver: SmtpReceiver) -> None:
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": MAIL}
    assert call(people.viewer.api, "send-email", body).status_code == 403
    assert receiver.connections == 0

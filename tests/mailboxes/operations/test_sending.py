"""send-email over a real SMTP server that also refuses, falls silent and hangs up."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from mailhub.mail.server import Encryption
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.mailboxes.operations.calls import (
    MAIL,
    PASSWORD,
    USER,
    by_password,
    call,
    of_receiver,
    received,
    refusal,
    send,
)
from tests.people import People
from tests.servers.certificates import make_certificate
from tests.servers.smtp import SmtpReceiver


@pytest.fixture
def short_wait(settings: Settings) -> None:
    settings.MAILHUB_MAIL_TIMEOUT = 1.5


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
    start_smtp_receiver: Callable[..., SmtpReceiver], tmp_path: Path
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


def test_a_viewer_sends_nothing(people: People, receiver: SmtpReceiver) -> None:
    body = {"smtpCredentials": of_receiver(receiver), "mailOptions": MAIL}
    assert call(people.viewer.api, "send-email", body).status_code == 403
    assert receiver.connections == 0

"""Whatever goes wrong at whatever moment between us and an SMTP server, and what a person sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from mailboxes.models import OutboxLane, OutboxMessage
from mailboxes.outbox.sending import send_due
from mailhub.mail.server import Encryption
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.mailboxes.operations.calls import PASSWORD, USER, call, of_receiver
from tests.people import People
from tests.servers.certificates import make_certificate
from tests.servers.smtp import SmtpReceiver

MAIL = {"from": USER, "to": "bo@example.org", "subject": "Hello", "text": "Hi"}
# More than both ends of a connection hold for a reader that has stopped.
LARGE = {**MAIL, "attachments": [{"filename": "a.txt", "content": "0123456 " * 750_000}]}
TIMEOUT = 0.8

Certificate = tuple[Path, Path]


@dataclass(frozen=True)
class Trouble:
    """What a server does at a step (None: within the content), and what follows from it.

    `status` and `code` are the answer of send-email; the outbox has the same code.
    """

    step: Step | None
    answer: str | Disturbance
    status: int
    code: str
    state: str = "deferred"

    def __str__(self) -> str:
        return f"{self.step or 'within'}-{self.answer}".replace(" ", "_")

    @property
    def words(self) -> str:
        """What the server said, if anything."""
        return "" if isinstance(self.answer, Disturbance) else self.answer

    def befall(self, receiver: SmtpReceiver) -> None:
        if self.step is not None:
            receiver.script.answer(self.step, self.answer)
        elif isinstance(self.answer, Disturbance):
            receiver.within_content = self.answer

    def pass_over(self, receiver: SmtpReceiver) -> None:
        receiver.script.clear()
        receiver.within_content = None


def _silence_and_loss() -> Iterator[Trouble]:
    for step in (*(each for each in Step if each is not Step.CONTENT), None):
        yield Trouble(step, Disturbance.DROP, 502, "connection_failed")
        yield Trouble(step, Disturbance.HANG, 504, "server_timeout")
    for each in Disturbance:
        yield Trouble(Step.CONTENT, each, 502, "delivery_uncertain", "uncertain")


def _refusals() -> Iterator[Trouble]:
    closing = {Step.LOGIN: "login_deferred", Step.CONTENT: "message_refused"}
    for step in Step:
        code = closing.get(step, "command_refused")
        status = 503 if step is Step.LOGIN else 502
        yield Trouble(step, "421 4.3.2 Closing down", status, code)
    for answer in (
        "450 4.2.0 Greylisted, come back later",
        "451 4.7.1 Greylisted, come back later",
        "452 4.2.2 Mailbox full",
        "552 5.2.2 Over quota",
        "552 Over quota",
    ):
        yield Trouble(Step.RCPT, answer, 502, "recipient_refused")
        yield Trouble(Step.CONTENT, answer, 502, "message_refused")
    never = {
        Step.LOGIN: "login_failed",
        Step.RCPT: "recipient_refused",
        **dict.fromkeys((Step.DATA, Step.CONTENT), "message_refused"),
    }
    for step in Step:
        code = never.get(step, "command_refused")
        yield Trouble(step, "554 5.7.1 Never", 422, code, "failed")
    yield Trouble(Step.MAIL, "452 4.3.1 Out of space", 502, "command_refused")
    yield Trouble(Step.MAIL, "552 5.3.4 Too large", 422, "command_refused", "failed")
    yield Trouble(Step.CONTENT, "552 5.3.4 Too large", 422, "message_refused", "failed")


every_trouble = pytest.mark.parametrize("trouble", [*_silence_and_loss(), *_refusals()], ids=str)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")


@pytest.fixture
def start(
    start_smtp_receiver: Callable[..., SmtpReceiver], settings: Settings
) -> Callable[..., SmtpReceiver]:
    """Starts a server with STARTTLS and a login, which is the installation's own too."""
    settings.MAILHUB_MAIL_TIMEOUT = TIMEOUT

    def start(certificate: Certificate, **changes: Any) -> SmtpReceiver:
        receiver = start_smtp_receiver(
            **{
                "encryption": Encryption.STARTTLS,
                "certificate": certificate[0],
                "key": certificate[1],
                "users": {USER: PASSWORD},
                **changes,
            }
        )
        settings.SMTP_SERVER, settings.SMTP_PORT = receiver.host, receiver.port
        settings.SMTP_ENCRYPTION = "starttls"
        settings.SMTP_USERNAME, settings.SMTP_PASSWORD = USER, PASSWORD
        settings.MAILHUB_CA_FILE = str(certificate[0])
        return receiver

    return start


@pytest.fixture
def receiver(start: Callable[..., SmtpReceiver], certificate: Certificate) -> SmtpReceiver:
    return start(certificate)


@dataclass(frozen=True)
class Outbox:
    """What a person asks of the outbox, and sees there."""

    people: People
    log: pytest.LogCaptureFixture

    def ask(self, mail: dict[str, Any] = MAIL) -> str:
        answer = call(self.people.member.api, "send-email", {"mailOptions": mail})
        assert answer.status_code == 202, answer.content
        send_due()
        return str(answer.json()["id"])

    def look(self, key: str) -> dict[str, Any]:
        answer = self.people.member.api.get(f"/api/outbox/{key}")
        assert PASSWORD not in answer.content.decode() + self.log.text
        seen: dict[str, Any] = answer.json()
        return seen

    def try_again(self) -> None:
        """Let the pauses between tries be over."""
        now = timezone.now()
        OutboxMessage.objects.waiting().update(next_try_at=now)
        OutboxLane.objects.update(due_at=now)
        send_due()


@pytest.fixture
def outbox(people: People, caplog: pytest.LogCaptureFixture) -> Outbox:
    return Outbox(people, caplog)


def send(people: People, receiver: SmtpReceiver, mail: dict[str, Any] = MAIL) -> Any:
    credentials = of_receiver(receiver, allowPlaintext=False)
    body = {"smtpCredentials": credentials, "mailOptions": mail}
    return call(people.member.api, "send-email", body)


def refusal(answer: Any) -> tuple[int, str, str]:
    """Status, code and the server's words of an answer in the one shape, without the password."""
    body = answer.json()
    assert set(body) == {"status", "error", "message", "details"}
    assert (body["status"], PASSWORD in answer.content.decode()) == ("error", False)
    assert body["message"]
    return answer.status_code, body["error"], body["details"].get("reply", "")


def arrives(trouble: Trouble) -> int:
    return int(trouble.answer is Disturbance.ACCEPT_AND_DROP)


@every_trouble
def test_the_outbox_says_what_happened_and_sends_no_message_twice(
    outbox: Outbox, receiver: SmtpReceiver, settings: Settings, trouble: Trouble
) -> None:
    trouble.befall(receiver)
    key = outbox.ask(LARGE if trouble.step is None else MAIL)
    seen = outbox.look(key)
    assert (seen["status"], seen["errorCode"], seen["tries"]) == (trouble.state, trouble.code, 1)
    assert seen["reply"] == trouble.words or (seen["reply"] and not trouble.words)
    assert [row["reply"] for row in seen["attempts"]] == [seen["reply"]]
    assert len(receiver.messages) == arrives(trouble)
    trouble.pass_over(receiver)
    settings.MAILHUB_MAIL_TIMEOUT = 20.0
    outbox.try_again()
    again = outbox.look(key)
    if trouble.state == "deferred":
        assert (again["status"], again["tries"], len(receiver.messages)) == ("sent", 2, 1)
        assert [row["result"] for row in again["attempts"]] == ["deferred", "sent"]
    else:
        assert again == seen
        assert len(receiver.messages) == arrives(trouble)


@every_trouble
def test_send_email_tells_what_happened(
    people: People, receiver: SmtpReceiver, caplog: pytest.LogCaptureFixture, trouble: Trouble
) -> None:
    trouble.befall(receiver)
    answer = send(people, receiver, LARGE if trouble.step is None else MAIL)
    assert refusal(answer) == (trouble.status, trouble.code, trouble.words)
    assert PASSWORD not in caplog.text
    assert len(receiver.messages) == arrives(trouble)


def test_one_refused_of_three_recipients_keeps_no_other_from_it(
    outbox: Outbox, people: People, receiver: SmtpReceiver
) -> None:
    receiver.script.answer(Step.RCPT, "550 5.1.1 No such user", address="no@example.org")
    mail = {**MAIL, "to": ["a@example.org", "no@example.org", "c@example.org"]}
    seen = outbox.look(outbox.ask(mail))
    assert (seen["status"], seen["accepted"]) == ("sent", ["a@example.org", "c@example.org"])
    assert seen["rejected"] == [{"address": "no@example.org", "reason": "550 5.1.1 No such user"}]
    told = send(people, receiver, mail).json()
    assert (told["accepted"], told["rejected"]) == (seen["accepted"], ["no@example.org"])
    outbox.try_again()
    recipients = [message.envelope.recipients for message in receiver.messages]
    assert recipients == [("a@example.org", "c@example.org")] * 2


def assert_nothing_was_told(outbox: Outbox, people: People, receiver: SmtpReceiver) -> str:
    """No login, no message, neither way, and another try later; the words for a person."""
    seen = outbox.look(outbox.ask())
    assert (seen["status"], seen["errorCode"]) == ("deferred", "encryption_refused")
    assert refusal(send(people, receiver)) == (502, "encryption_refused", "")
    assert {each.split()[0] for each in receiver.commands} <= {"EHLO", "STARTTLS"}
    assert receiver.messages == []
    return str(seen["reply"])


def test_a_server_without_starttls_is_told_nothing(
    outbox: Outbox, people: People, start: Callable[..., SmtpReceiver], certificate: Certificate
) -> None:
    receiver = start(certificate, encryption=Encryption.NONE)
    assert "does not offer STARTTLS" in assert_nothing_was_told(outbox, people, receiver)


def test_a_server_with_an_unknown_certificate_is_told_nothing(
    outbox: Outbox, people: People, receiver: SmtpReceiver, settings: Settings
) -> None:
    settings.MAILHUB_CA_FILE = None
    assert "self-signed" in assert_nothing_was_told(outbox, people, receiver)


@pytest.mark.parametrize(
    "wrong",
    [
        ("127.0.0.1", timedelta(minutes=-1), "expired"),
        ("mail.example.org", timedelta(days=1), "mismatch"),
    ],
)
def test_a_server_with_a_wrong_certificate_is_told_nothing(
    outbox: Outbox,
    people: People,
    start: Callable[..., SmtpReceiver],
    tmp_path: Path,
    wrong: tuple[str, timedelta, str],
) -> None:
    host, valid_for, words = wrong
    receiver = start(make_certificate(tmp_path, host, valid_for=valid_for))
    assert words in assert_nothing_was_told(outbox, people, receiver)

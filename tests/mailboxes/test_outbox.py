"""The outbox over a real SMTP server: what is promised leaves once, or a person sees why not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from mailboxes.models import OutboxContent, OutboxLane, OutboxMessage, OutboxState
from mailboxes.outbox.lanes import claim_due, give_back
from mailboxes.outbox.sending import send_due
from mailhub.mail.transports.in_memory import Disturbance, Step
from tests.mailboxes.operations.calls import call
from tests.people import People
from tests.servers.smtp import SmtpReceiver

MAIL = {
    "from": "Shop <shop@example.org>",
    "to": "bo@example.org",
    "subject": "Your order",
    "text": "Thanks.",
}


@pytest.fixture
def receiver(smtp_receiver: SmtpReceiver, settings: Settings) -> SmtpReceiver:
    """The installation's own mail server."""
    settings.SMTP_SERVER, settings.SMTP_PORT = smtp_receiver.host, smtp_receiver.port
    settings.SMTP_ENCRYPTION, settings.MAILHUB_MAIL_TIMEOUT = "none", 1.5
    return smtp_receiver


def ask(people: People, **changes: Any) -> Any:
    answer = call(people.member.api, "send-email", {"mailOptions": {**MAIL, **changes}})
    assert answer.status_code == 202, answer.content
    return answer.json()


def look(people: People, queued: Any) -> Any:
    return people.member.api.get(f"/api/outbox/{queued['id']}").json()


def come_due() -> None:
    """Let the pauses between tries be over."""
    now = timezone.now()
    OutboxMessage.objects.waiting().update(next_try_at=now)
    OutboxLane.objects.update(due_at=now)


def test_a_message_without_credentials_goes_by_the_default_sender(
    people: People, receiver: SmtpReceiver
) -> None:
    queued = ask(people, cc="cy@example.org", bcc="di@example.org")
    assert look(people, queued)["status"] == queued["status"] == "queued"
    assert receiver.messages == []
    send_due()
    [message] = receiver.messages
    assert message.envelope.recipients == ("bo@example.org", "cy@example.org", "di@example.org")
    parsed = message_from_bytes(message.content, policy=policy.default)
    assert parsed["Message-ID"] == queued["messageId"]
    assert b"di@example.org" not in message.content
    seen = look(people, queued)
    assert (seen["status"], seen["rejected"], seen["reply"]) == ("sent", [], "250 2.0.0 OK")
    assert seen["accepted"] == list(message.envelope.recipients)
    assert [row["result"] for row in seen["attempts"]] == ["sent"]
    send_due()
    assert len(receiver.messages) == 1


def test_what_is_refused_for_now_is_tried_again(people: People, receiver: SmtpReceiver) -> None:
    receiver.script.answer(Step.RCPT, "451 4.7.1 Greylisted, come back later", times=1)
    queued = ask(people)
    send_due()
    seen = look(people, queued)
    assert (seen["status"], seen["reply"]) == ("deferred", "451 4.7.1 Greylisted, come back later")
    assert seen["nextTryAt"] > seen["createdAt"]
    send_due()
    assert receiver.messages == []
    come_due()
    send_due()
    seen = look(people, queued)
    assert seen["status"] == "sent"
    assert [(row["number"], row["result"], row["code"]) for row in seen["attempts"]] == [
        (1, "deferred", 451),
        (2, "sent", 250),
    ]


def test_a_final_refusal_is_a_dead_letter_that_can_be_requeued(
    people: People, receiver: SmtpReceiver
) -> None:
    receiver.script.answer(Step.CONTENT, "554 5.7.1 We do not like it", times=1)
    queued = ask(people)
    send_due()
    seen = look(people, queued)
    assert (seen["status"], seen["reply"]) == ("failed", "554 5.7.1 We do not like it")
    assert seen["rejected"] == [
        {"address": "bo@example.org", "reason": "554 5.7.1 We do not like it"}
    ]
    api = people.member.api
    [letter] = api.get("/api/dead-letters").json()["deadLetters"]
    assert (letter["outboxId"], letter["reason"]) == (queued["id"], "554 5.7.1 We do not like it")
    again = api.post(f"/api/dead-letters/{letter['id']}/requeue")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    send_due()
    assert look(people, queued)["status"] == "sent"
    assert len(receiver.messages) == 1
    assert api.get("/api/dead-letters").json()["deadLetters"] == []


def test_tries_that_are_used_up_end_as_a_dead_letter(
    people: People, receiver: SmtpReceiver, settings: Settings
) -> None:
    settings.MAILHUB_SEND_ATTEMPTS = 3
    receiver.script.answer(Step.MAIL, "421 4.3.0 Too busy")
    queued = ask(people)
    for _ in range(5):
        send_due()
        come_due()
    seen = look(people, queued)
    assert (seen["status"], seen["tries"], len(seen["attempts"])) == ("dead", 3, 3)
    assert len(people.member.api.get("/api/dead-letters").json()["deadLetters"]) == 1


def test_only_those_refused_for_now_are_written_to_again(
    people: People, receiver: SmtpReceiver
) -> None:
    receiver.script.answer(Step.RCPT, "550 5.1.1 No such user", address="no@example.org")
    receiver.script.answer(Step.RCPT, "452 4.2.2 Mailbox full", address="full@example.org", times=1)
    queued = ask(people, to="bo@example.org, no@example.org, full@example.org")
    send_due()
    seen = look(people, queued)
    assert (seen["status"], seen["accepted"]) == ("deferred", ["bo@example.org"])
    come_due()
    send_due()
    seen = look(people, queued)
    assert (seen["status"], seen["accepted"]) == ("sent", ["bo@example.org", "full@example.org"])
    assert seen["rejected"] == [{"address": "no@example.org", "reason": "550 5.1.1 No such user"}]
    assert [message.envelope.recipients for message in receiver.messages] == [
        ("bo@example.org",),
        ("full@example.org",),
    ]


def test_those_given_up_of_a_sent_message_are_written_to_again_alone(
    people: People, receiver: SmtpReceiver, settings: Settings
) -> None:
    settings.MAILHUB_SEND_ATTEMPTS = 2
    receiver.script.answer(Step.RCPT, "451 4.7.1 Greylisted", address="cy@example.org", times=2)
    queued = ask(people, to="bo@example.org, cy@example.org")
    for _ in range(2):
        send_due()
        come_due()
    seen = look(people, queued)
    assert (seen["status"], seen["accepted"]) == ("sent", ["bo@example.org"])
    assert seen["rejected"] == [{"address": "cy@example.org", "reason": "451 4.7.1 Greylisted"}]
    api = people.member.api
    assert api.get("/api/dead-letters").json()["deadLetters"] == []
    again = api.post(f"/api/outbox/{queued['id']}/retry")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    send_due()
    seen = look(people, queued)
    assert (seen["status"], seen["rejected"]) == ("sent", [])
    assert seen["accepted"] == ["bo@example.org", "cy@example.org"]
    assert [row["result"] for row in seen["attempts"]] == ["sent", "deferred", "sent"]
    assert [message.envelope.recipients for message in receiver.messages] == [
        ("bo@example.org",),
        ("cy@example.org",),
    ]
    refused = api.post(f"/api/outbox/{queued['id']}/retry")
    assert (refused.status_code, refused.json()["error"]) == (409, "not_over")


def test_a_lost_answer_is_uncertain_and_sent_again_by_a_persons_word_alone(
    people: People, receiver: SmtpReceiver
) -> None:
    receiver.script.answer(Step.CONTENT, Disturbance.ACCEPT_AND_DROP, times=1)
    queued = ask(people)
    send_due()
    come_due()
    send_due()
    assert look(people, queued)["status"] == "uncertain"
    assert len(receiver.messages) == 1
    address = f"/api/outbox/{queued['id']}/retry"
    refused = people.member.api.post(address, {})
    assert (refused.status_code, refused.json()["error"]) == (409, "confirmation_required")
    assert people.member.api.post(address, {"confirm": "may_duplicate"}).status_code == 202
    send_due()
    assert look(people, queued)["status"] == "sent"
    assert len(receiver.messages) == 2


def test_a_lost_answer_is_counted_as_sent_once_somebody_knows(
    people: People, receiver: SmtpReceiver
) -> None:
    receiver.script.answer(Step.CONTENT, Disturbance.ACCEPT_AND_DROP, times=1)
    queued = ask(people)
    address = f"/api/outbox/{queued['id']}/mark-sent"
    early = people.member.api.post(address)
    assert (early.status_code, early.json()["error"]) == (409, "not_uncertain")
    send_due()
    answer = people.member.api.post(address)
    assert (answer.status_code, answer.json()["accepted"]) == (200, ["bo@example.org"])
    assert "mary@acme marked it as sent." in look(people, queued)["reply"]
    send_due()
    assert len(receiver.messages) == 1


def test_a_queued_message_can_be_cancelled_and_a_sent_one_cannot(
    people: People, receiver: SmtpReceiver
) -> None:
    first, second = ask(people), ask(people)
    api = people.member.api
    assert api.delete(f"/api/outbox/{first['id']}").json()["status"] == "cancelled"
    send_due()
    late = api.delete(f"/api/outbox/{second['id']}")
    assert (late.status_code, late.json()["error"]) == (409, "too_late")
    assert [look(people, each)["status"] for each in (first, second)] == ["cancelled", "sent"]
    assert len(receiver.messages) == 1


def test_messages_of_one_sender_leave_in_order(people: People, receiver: SmtpReceiver) -> None:
    for number in range(30):
        ask(people, subject=f"Number {number}")
    send_due()
    subjects = [
        message_from_bytes(message.content, policy=policy.default)["Subject"]
        for message in receiver.messages
    ]
    assert subjects == [f"Number {number}" for number in range(30)]
    assert receiver.connections == 1


def test_only_so_many_messages_of_one_sender_leave_in_a_minute(
    people: People, receiver: SmtpReceiver, settings: Settings
) -> None:
    settings.MAILHUB_ACCOUNT_RATE = 3
    for number in range(5):
        ask(people, subject=f"Number {number}")
    body = {"mailOptions": {**MAIL, "to": "other@example.org"}}
    assert call(people.stranger.api, "send-email", body).status_code == 202
    assert send_due() == 2
    assert len(receiver.messages) == 3 + 1
    assert send_due() == 0, "the others wait until the minute is over"
    waiting = OutboxLane.objects.exclude(due_at=None)
    assert waiting.filter(due_at__gt=timezone.now()).count() == 1
    waiting.update(minute_began_at=timezone.now() - timedelta(minutes=1))
    come_due()
    send_due()
    assert len(receiver.messages) == 5 + 1


def test_what_a_lost_worker_had_in_hand_is_settled(people: People, receiver: SmtpReceiver) -> None:
    begun, fresh = ask(people), ask(people)
    [lane] = claim_due(5)
    rows = OutboxMessage.objects.filter(lane=lane)
    rows.update(state=OutboxState.SENDING, worker=lane.worker, next_try_at=None)
    rows.filter(pk=begun["id"]).update(has_begun=True)
    send_due()
    assert receiver.messages == []
    OutboxLane.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    send_due()
    seen = [look(people, each) for each in (begun, fresh)]
    assert [each["status"] for each in seen] == ["uncertain", "sent"]
    assert [(each["tries"], len(each["attempts"])) for each in seen] == [(1, 1), (1, 1)]
    assert len(receiver.messages) == 1


def test_a_message_that_was_thrown_away_meanwhile_holds_up_no_other(
    people: People, receiver: SmtpReceiver
) -> None:
    asked = [ask(people, subject=f"Order {number}") for number in range(3)]
    OutboxContent.objects.filter(pk=asked[1]["id"]).delete()
    send_due()
    seen = [look(people, each) for each in asked]
    assert [each["status"] for each in seen] == ["sent", "failed", "sent"]
    assert "kept no more" in seen[1]["attempts"][0]["reply"]
    assert len(receiver.messages) == 2


@pytest.mark.usefixtures("receiver")
def test_what_a_broken_turn_had_in_hand_is_settled(people: People) -> None:
    begun, fresh = ask(people), ask(people)
    [lane] = claim_due(5)
    rows = OutboxMessage.objects.filter(lane=lane)
    rows.update(state=OutboxState.SENDING, worker=lane.worker, next_try_at=None)
    rows.filter(pk=begun["id"]).update(has_begun=True)
    give_back(lane)
    assert [look(people, each)["status"] for each in (begun, fresh)] == ["uncertain", "queued"]
    assert [each.pk for each in claim_due(5)] == [lane.pk]


def test_one_request_with_its_key_is_one_message(people: People, receiver: SmtpReceiver) -> None:
    body = {"mailOptions": MAIL}
    first = call(people.member.api, "send-email", body, idempotency_key="order-1")
    again = call(people.member.api, "send-email", body, idempotency_key="order-1")
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    send_due()
    assert len(receiver.messages) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("reply", "status"),
    [("550 5.1.1 No such user", 422), ("451 4.7.1 Greylisted", 202)],
)
def test_the_outcome_that_was_waited_for_is_the_answer_to_the_same_key(
    transactional_db: None, receiver: SmtpReceiver, reply: str, status: int
) -> None:
    people = People()
    receiver.script.answer(Step.RCPT, reply)
    body = {"wait": True, "mailOptions": MAIL}
    with worker_at_work():
        first, again = (
            call(people.member.api, "send-email", body, idempotency_key="order-1") for _ in range(2)
        )
    assert (first.status_code, again.status_code) == (status, status)
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert OutboxMessage.objects.count() == 1


@contextmanager
def worker_at_work() -> Iterator[None]:
    """Another thread sends what is due meanwhile."""
    is_over = threading.Event()

    def work() -> None:
        try:
            while not is_over.wait(0.02):
                send_due(stop=is_over)
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        is_over.set()
        worker.join()


def test_the_log_is_searched_by_address_state_and_message_id(
    people: People, receiver: SmtpReceiver
) -> None:
    receiver.script.answer(Step.RCPT, "550 5.1.1 No such user", address="no@example.org")
    fine, refused = ask(people, to="Ann@Example.org"), ask(people, to="no@example.org")
    send_due()

    def found(**query: str) -> list[str]:
        answer = people.member.api.get("/api/email-log", query)
        return [row["id"] for row in answer.json()["emailLog"]]

    assert found() == [refused["id"], fine["id"]]
    assert found(address="ann@example.org") == [fine["id"]]
    assert found(address="shop@example.org") == [refused["id"], fine["id"]]
    assert found(status="failed") == [refused["id"]]
    assert found(messageId=fine["messageId"]) == [fine["id"]]
    assert found(address="%") == []


def test_without_a_default_sender_credentials_are_asked_for(people: People) -> None:
    answer = call(people.member.api, "send-email", {"mailOptions": MAIL})
    assert (answer.status_code, answer.json()["error"]) == (400, "credentials_required")


def test_a_teammate_sees_nothing_of_it(people: People, receiver: SmtpReceiver) -> None:
    queued = ask(people)
    assert people.teammate.api.get("/api/outbox").json()["outbox"] == []
    assert people.teammate.api.delete(f"/api/outbox/{queued['id']}").status_code == 404

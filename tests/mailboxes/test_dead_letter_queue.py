"""Copies of dead letters in a queue of SQS, over moto's HTTP server."""

from __future__ import annotations

import base64
import json
import threading
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from mailboxes.models import DeadLetter
from mailboxes.outbox.dead_letter_queue import DeadLetterCourier, Queue, copy_due
from mailboxes.outbox.sending import send_due
from mailhub.mail.transports.in_memory import Step
from tests.mailboxes.test_outbox import ask, receiver
from tests.people import People
from tests.servers.aws import REGION, MotoServer
from tests.servers.processes import free_port, wait_until
from tests.servers.smtp import SmtpReceiver

__all__ = ["receiver"]


@pytest.fixture
def queue_url(aws: MotoServer, settings: Settings) -> str:
    settings.AWS_SES_REGION_NAME = REGION
    return make_queue(aws, settings, "letters")


def make_queue(aws: MotoServer, settings: Settings, name: str, **attributes: str) -> str:
    made = aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)
    settings.MAILHUB_DEAD_LETTER_SQS_URL = made["QueueUrl"]
    return str(made["QueueUrl"])


def received(aws: MotoServer, url: str) -> list[dict[str, Any]]:
    """What is in the queue."""
    answer = aws.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"]
    )
    return [
        {**json.loads(message["Body"]), "sqs": message["Attributes"]}
        for message in answer.get("Messages", [])
    ]


def die(people: People, receiver: SmtpReceiver, **changes: Any) -> Any:
    """A message that nobody got."""
    receiver.script.answer(Step.CONTENT, "554 5.7.1 We do not like it", times=1)
    queued = ask(people, **changes)
    send_due()
    return queued


def test_each_dead_letter_is_copied_once_with_its_message(
    people: People, receiver: SmtpReceiver, aws: MotoServer, queue_url: str
) -> None:
    queued = die(people, receiver, subject="Grüße")
    assert copy_due()
    [letter] = received(aws, queue_url)
    stored = DeadLetter.objects.get()
    assert stored.copied_at is not None
    assert (letter["type"], letter["id"], letter["outboxId"]) == (
        "dead_letter",
        str(stored.pk),
        queued["id"],
    )
    assert (letter["tenant"], letter["messageId"]) == ("acme", queued["messageId"])
    assert (letter["from"], letter["recipients"]) == ("shop@example.org", ["bo@example.org"])
    assert (letter["subject"], letter["reason"]) == ("Grüße", "554 5.7.1 We do not like it")
    assert [(each["result"], each["code"]) for each in letter["attempts"]] == [("failed", 554)]
    message = message_from_bytes(base64.b64decode(letter["content"]), policy=policy.default)
    assert message.get_content().strip() == "Thanks."
    assert copy_due()
    assert received(aws, queue_url) == []
    assert people.member.api.get("/api/dead-letters").json()["deadLetters"]


def test_it_holds_no_secret(
    people: People,
    receiver: SmtpReceiver,
    aws: MotoServer,
    queue_url: str,
    settings: Settings,
) -> None:
    settings.SMTP_USERNAME, settings.SMTP_PASSWORD = "relay", "relay-password-81f0"
    ask(people)
    send_due()
    assert copy_due()
    [letter] = received(aws, queue_url)
    assert letter["attempts"]
    assert "relay-password-81f0" not in json.dumps(letter)


def test_a_large_message_is_left_out(
    people: People, receiver: SmtpReceiver, aws: MotoServer, queue_url: str
) -> None:
    die(people, receiver, text="long line\n" * 30_000)
    assert copy_due()
    [letter] = received(aws, queue_url)
    assert letter["content"] is None
    assert letter["size"] > 300_000


def test_a_fifo_queue_gets_group_and_deduplication(
    people: People, receiver: SmtpReceiver, aws: MotoServer, queue_url: str, settings: Settings
) -> None:
    url = make_queue(aws, settings, "letters.fifo", FifoQueue="true")
    die(people, receiver)
    assert copy_due()
    # As after a process that was lost between the queue's answer and the row.
    DeadLetter.objects.update(copied_at=None, copy_due_at=timezone.now())
    assert copy_due()
    [letter] = received(aws, url)
    assert letter["sqs"]["MessageGroupId"] == "acme"


def test_a_queue_that_is_away_loses_nothing_and_is_tried_again(
    people: People, receiver: SmtpReceiver, aws: MotoServer, queue_url: str, settings: Settings
) -> None:
    die(people, receiver)
    die(people, receiver)
    for url in (
        f"http://127.0.0.1:{free_port()}/123456789012/letters",
        queue_url.replace("letters", "no-such-queue"),
    ):
        settings.MAILHUB_DEAD_LETTER_SQS_URL = url
        assert not copy_due()
    assert DeadLetter.objects.filter(copied_at=None).count() == 2
    settings.MAILHUB_DEAD_LETTER_SQS_URL = queue_url
    assert copy_due()
    assert len(received(aws, queue_url)) == 2


def test_without_a_queue_nothing_is_copied(people: People, receiver: SmtpReceiver) -> None:
    die(people, receiver)
    DeadLetterCourier().start_due()
    assert DeadLetter.objects.get().copy_tries == 0


def test_a_requeued_letter_that_dies_again_is_copied_again(
    people: People, receiver: SmtpReceiver, aws: MotoServer, queue_url: str
) -> None:
    die(people, receiver)
    assert copy_due()
    letter = DeadLetter.objects.get()
    assert people.member.api.post(f"/api/dead-letters/{letter.pk}/requeue").status_code == 202
    receiver.script.answer(Step.CONTENT, "554 5.7.1 Still not", times=1)
    send_due()
    assert copy_due()
    reasons = [letter["reason"] for letter in received(aws, queue_url)]
    assert sorted(reasons) == ["554 5.7.1 Still not", "554 5.7.1 We do not like it"]


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.us-east-2.amazonaws.com/123456789012/letters", "us-east-2"),
        ("https://us-east-2.queue.amazonaws.com/123456789012/letters", "us-east-2"),
        ("https://sqs-fips.us-east-2.amazonaws.com/123456789012/letters", "us-east-2"),
        ("https://vpce-1.example.com/123456789012/letters.fifo", REGION),
    ],
)
def test_the_region_is_the_urls_own(url: str, region: str, settings: Settings) -> None:
    settings.AWS_SES_REGION_NAME = REGION
    service = Queue.at(url).service
    assert service.region == region
    assert url.startswith(service.endpoint)


@pytest.mark.django_db(transaction=True)
def test_several_processes_copy_each_letter_once(
    people: People, receiver: SmtpReceiver, aws: MotoServer, queue_url: str
) -> None:
    for _ in range(6):
        die(people, receiver)

    def copy() -> None:
        try:
            copy_due()
        finally:
            connection.close()

    threads = [threading.Thread(target=copy) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(received(aws, queue_url)) == 6


@pytest.mark.django_db(transaction=True)
def test_the_dispatcher_copies_beside_its_other_duties(
    people: People, receiver: SmtpReceiver, aws: MotoServer, queue_url: str, settings: Settings
) -> None:
    die(people, receiver)
    courier = DeadLetterCourier()
    settings.MAILHUB_DEAD_LETTER_SQS_URL = queue_url.replace("letters", "no-such-queue")
    courier.start_due()
    wait_until(lambda: DeadLetter.objects.get().copy_tries == 1, "it was tried")
    courier.close()
    settings.MAILHUB_DEAD_LETTER_SQS_URL = queue_url
    # It pauses after a failure; another process has not seen it.
    courier.start_due()
    assert DeadLetter.objects.get().copy_tries == 1
    DeadLetter.objects.update(copy_due_at=timezone.now() - timedelta(seconds=1))
    other = DeadLetterCourier()
    other.start_due()
    wait_until(lambda: DeadLetter.objects.get().copied_at is not None, "it was copied")
    other.close()
    assert len(received(aws, queue_url)) == 1

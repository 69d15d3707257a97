"""Each dead letter is copied to the queue of MAILHUB_DEAD_LETTER_SQS_URL, for other programs.

The letter itself stays here for a person to decide; the queue being away, or unset, changes
nothing about it. A copy arrives once or, where a process was lost in between, twice: its
`id` tells. A FIFO queue drops what came twice within five minutes, and keeps the order of
each tenant's letters.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.utils import timezone

from mailboxes.models import DeadLetter, OutboxContent
from mailhub.logs import get_logger
from mailhub.mail.aws import AwsService, aws_client

log = get_logger(__name__)

# SQS takes 256 KiB; what is not counted here are names and short texts.
_LARGEST_CONTENT = 120_000
_MOST_ATTEMPTS = 10
_CLAIMED_FOR = timedelta(minutes=1)
_LONGEST_CLAIM = timedelta(hours=6)
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_PATIENCE_AT_THE_END = 10.0
_TRIES = 3
_REGION_IN_HOST = re.compile(r"sqs(?:-fips)?\.([a-z0-9-]+)\.|([a-z0-9-]+)\.queue\.")
# Not about this letter: the queue may not be there yet, or the keys not be right.
_ABOUT_THE_LETTER = ("InvalidMessageContents", "InvalidParameterValue", "MessageTooLong")


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of SQS, by its URL."""

    url: str
    service: AwsService

    @classmethod
    def at(cls, url: str) -> Queue:
        """Raises InvalidMessage where neither the URL nor a setting names its region."""
        parts = urlsplit(url)
        found = _REGION_IN_HOST.match(parts.hostname or "")
        region = (found[1] or found[2]) if found else settings.AWS_SES_REGION_NAME
        service = AwsService(
            "sqs",
            region,
            endpoint=f"{parts.scheme}://{parts.netloc}",
            timeout=settings.MAILHUB_MAIL_TIMEOUT,
            tries=_TRIES,
        )
        return cls(url, service)

    def put(self, letter: DeadLetter) -> None:
        """Raises botocore's errors."""
        options: dict[str, Any] = {}
        if self.url.endswith(".fifo"):
            options["MessageGroupId"] = letter.message.tenant.slug
            options["MessageDeduplicationId"] = f"dead-letter-{letter.pk}"
        body = json.dumps(described(letter))
        aws_client(self.service).send_message(QueueUrl=self.url, MessageBody=body, **options)


class DeadLetterCourier:
    """The thread of this process that copies what is due; it pauses while the queue is away."""

    def __init__(self) -> None:
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._again_at = 0.0
        self._pause = _FIRST_PAUSE

    def start_due(self) -> None:
        """Begin, unless there is nothing to do, or it is under way."""
        if not settings.MAILHUB_DEAD_LETTER_SQS_URL or time.monotonic() < self._again_at:
            return
        is_busy = self._worker is not None and self._worker.is_alive()
        if is_busy or not _due(timezone.now()).exists():
            return
        self._worker = threading.Thread(target=self._work, name="dead-letters", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Let it end the letter in hand; the others are copied after the next start."""
        self._stop.set()
        if self._worker is not None:
            self._worker.join(_PATIENCE_AT_THE_END)
        self._stop = threading.Event()

    def _work(self) -> None:
        try:
            if copy_due(self._stop):
                self._pause = _FIRST_PAUSE
            else:
                self._again_at = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        except Exception:
            log.exception("dead letters were not copied")
            self._again_at = time.monotonic() + _LONGEST_PAUSE
        finally:
            connection.close()


def copy_due(stop: threading.Event | None = None) -> bool:
    """Copy all that is due, in this thread; False where the queue is away."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see mailhub.mail.aws

    queue = Queue.at(settings.MAILHUB_DEAD_LETTER_SQS_URL)
    for letter in _claimed(stop or threading.Event()):
        try:
            queue.put(letter)
        except (BotoCoreError, ClientError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            log.warning("a dead letter was not copied", letter=letter.pk, error=str(error))
            if code in _ABOUT_THE_LETTER:
                continue
            DeadLetter.objects.filter(pk=letter.pk).update(copy_due_at=timezone.now())
            return False
        DeadLetter.objects.filter(pk=letter.pk).update(copied_at=timezone.now())
    return True


def described(letter: DeadLetter) -> dict[str, Any]:
    """The letter as it is in the API, with its tries, and the message where that is not large."""
    message = letter.message
    found = OutboxContent.objects.filter(pk=message.pk).values_list("wire", flat=True).first()
    wire = bytes(found) if found is not None and len(found) <= _LARGEST_CONTENT else None
    attempts = list(message.attempts.order_by("-number")[:_MOST_ATTEMPTS])
    return {
        "type": "dead_letter",
        "id": str(letter.pk),
        "outboxId": str(message.pk),
        "tenant": message.tenant.slug,
        "user": str(message.user),
        "accountId": str(message.account_id) if message.account_id else None,
        "messageId": message.message_id,
        "from": message.sender,
        "recipients": message.unreached,
        "subject": message.subject[:1000],
        "reason": letter.reason,
        "errorCode": message.error_code,
        "tries": message.tries,
        "attempts": [
            {
                "number": attempt.number,
                "endedAt": _milliseconds(attempt.ended_at),
                "result": attempt.result,
                "code": attempt.code,
                "reply": attempt.reply,
            }
            for attempt in reversed(attempts)
        ],
        "createdAt": _milliseconds(letter.created_at),
        "size": message.size,
        "content": base64.b64encode(wire).decode() if wire is not None else None,
    }


def _claimed(stop: threading.Event) -> Iterator[DeadLetter]:
    """One after the other, each no other process's for a while; it is due again afterwards."""
    while not stop.is_set():
        now = timezone.now()
        letter = _due(now).select_related("message__tenant", "message__user").first()
        if letter is None:
            return
        pause = min(_CLAIMED_FOR * 2 ** min(letter.copy_tries, 20), _LONGEST_CLAIM)
        same = DeadLetter.objects.filter(
            pk=letter.pk, copied_at=None, copy_due_at=letter.copy_due_at
        )
        if same.update(copy_due_at=now + pause, copy_tries=letter.copy_tries + 1):
            yield letter


def _due(now: datetime) -> Any:
    return DeadLetter.objects.filter(copied_at=None, copy_due_at__lte=now).order_by("copy_due_at")


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


DEAD_LETTER_COURIER = DeadLetterCourier()

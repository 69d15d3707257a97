"""Fetching what SNS puts into queues of Amazon SQS, for installations without a public address.

A notice is taken from its queue only when it is kept here; one that is fetched twice changes
nothing. The policy of a queue at AWS says who may write to it: signatures are not asked for.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.connections import secret_of
from accounts.models import CredentialKind
from campaigns.feedback.intake import keep_notices
from campaigns.feedback.sns import NOTIFICATION
from campaigns.models import SesTopic
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.aws import AwsKeys, AwsService, aws_client
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.parsing.charsets import clean_text

log = get_logger(__name__)

_AT_ONCE = 10
_MOST_FETCHES = 30
_TIMEOUT = 10.0
_IN_QUEUE = "The queue has"
_URL = re.compile(
    r"https://sqs\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/\d{12}/[\w-]{1,80}(?:\.fifo)?"
)


def is_queue_url(url: str) -> bool:
    """Whether it is the address of a queue; the operator's own endpoint of AWS counts too."""
    endpoint = settings.MAILHUB_SQS_ENDPOINT_URL
    return _URL.fullmatch(url) is not None or bool(endpoint and url.startswith(f"{endpoint}/"))


class QueueReader:
    """Empties the queues beside the dispatcher, in a thread: AWS may take its time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start_due(self) -> None:
        """Look into the queues, unless that is still under way."""
        if self._thread is not None and self._thread.is_alive():
            return
        if SesTopic.objects.exclude(queue_url="").exists():
            self._thread = threading.Thread(target=self._read, name="queues-of-ses", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait for what is under way."""
        if self._thread is not None:
            self._thread.join(_TIMEOUT * 2)

    @staticmethod
    def _read() -> None:
        try:
            fetch_notices()
        except Exception:
            log.exception("the queues of SES could not be read")
        finally:
            connection.close()


QUEUE_READER = QueueReader()


def fetch_notices() -> int:
    """Empty every queue, some hundreds of notices at most from each; how many there were."""
    topics = SesTopic.objects.exclude(queue_url="").filter(tenant__is_active=True)
    count = 0
    for topic in topics.select_related("credential"):
        try:
            count += _fetch(topic)
        except Exception:
            # What a stranger has put into one queue keeps nobody from reading the others.
            log.exception("a queue of notices could not be read", topic=topic.arn)
    return count


def _fetch(topic: SesTopic) -> int:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see mailhub.mail.aws

    try:
        emptied = _empty(_client(topic), topic)
    except ClientError as error:
        words = str(error.response.get("Error", {}).get("Message") or "AWS refused it.")
    except (BotoCoreError, InvalidMessage):
        words = "The queue could not be reached."
    except MailhubError as error:
        words = error.message
    else:
        # What was wrong in the queue stays told until something comes that is not.
        trouble = emptied.trouble
        if not trouble and not emptied.count and topic.trouble.startswith(_IN_QUEUE):
            trouble = topic.trouble
        if trouble != topic.trouble:
            SesTopic.objects.filter(pk=topic.pk).update(trouble=trouble)
        return emptied.count
    log.warning("a queue of notices cannot be read", topic=topic.arn, error=words)
    SesTopic.objects.filter(pk=topic.pk).update(trouble=words[:500])
    return 0


def _client(topic: SesTopic) -> Any:
    credential = topic.credential
    if credential is None or credential.kind != CredentialKind.AWS:
        raise MailhubError("There are no keys for this queue any more.")
    secret = secret_of(credential)
    region = topic.arn.split(":")[3]
    found = _URL.fullmatch(topic.queue_url)
    service = AwsService(
        "sqs",
        found["region"] if found else region,
        keys=AwsKeys(secret["access_key_id"], secret["secret_access_key"]),
        endpoint=settings.MAILHUB_SQS_ENDPOINT_URL,
        timeout=_TIMEOUT,
        tries=2,
    )
    return aws_client(service)


@dataclass(slots=True)
class _Emptied:
    """What came of one look into a queue."""

    count: int = 0
    unreadable: int = 0
    strangers: set[str] = field(default_factory=set)

    @property
    def trouble(self) -> str:
        """What is wrong with what was in it; "" for nothing."""
        words = []
        if self.strangers:
            named = ", ".join(sorted(self.strangers))
            words.append(f"notices of another topic, which are left there: {named}")
        if self.unreadable:
            words.append(f"{self.unreadable} messages that are no notices, which were deleted")
        return f"{_IN_QUEUE} {'; '.join(words)}."[:500] if words else ""


def _empty(client: Any, topic: SesTopic) -> _Emptied:
    """What is of another topic stays: it is seen again, until the queue's policy moves it on."""
    emptied = _Emptied()
    for _ in range(_MOST_FETCHES):
        answer = client.receive_message(
            QueueUrl=topic.queue_url, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=0
        )
        messages = answer.get("Messages", [])
        if not messages:
            break
        known, done = [], []
        for each in messages:
            value = _value(each)
            stranger = _stranger(value, topic)
            if stranger:
                emptied.strangers.add(stranger)
                continue
            done.append(each)
            notice = _read(each, value) if value is not None else None
            if notice is not None:
                known.append(notice)
            elif value is None or value.get("Type") == NOTIFICATION:
                emptied.unreadable += 1
                log.warning("no notice in a queue", topic=topic.arn, message=each["MessageId"])
        if known:
            keep_notices(topic, known)
        if done:
            _delete(client, topic, done)
        if known and topic.confirmed_at is None:
            topic.confirmed_at = timezone.now()
            topic.save(update_fields=["confirmed_at"])
        emptied.count += len(known)
    if emptied.strangers:
        log.warning("a queue has other topics' notices", topic=topic.arn, of=emptied.trouble)
    return emptied


def _delete(client: Any, topic: SesTopic, messages: Sequence[Any]) -> None:
    client.delete_message_batch(
        QueueUrl=topic.queue_url,
        Entries=[
            {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]}
            for number, each in enumerate(messages)
        ],
    )


def _value(message: Any) -> dict[str, Any] | None:
    try:
        value = json.loads(message["Body"])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _stranger(value: dict[str, Any] | None, topic: SesTopic) -> str:
    """The other topic that it is of, as the envelope says; "" for none."""
    if value is None or "Type" not in value or value.get("TopicArn") == topic.arn:
        return ""
    return clean_text(str(value.get("TopicArn") or "without a name"))[:200]


def _read(message: Any, value: dict[str, Any]) -> tuple[str, str] | None:
    """Id and event: inside SNS's envelope, or bare where the subscription asks for that."""
    if "Type" not in value:
        return str(message["MessageId"]), message["Body"]
    notice_id, event = value.get("MessageId"), value.get("Message")
    if value["Type"] != NOTIFICATION or not isinstance(notice_id, str):
        return None
    return (clean_text(notice_id), clean_text(event)) if isinstance(event, str) else None

"""Fetching what SNS puts into queues of Amazon SQS, for installations without a public address.

A notice is taken from its queue only when it is kept here; one that is fetched twice changes
nothing. The policy of a queue at AWS says who may write to it: signatures are not asked for.
"""

from __future__ import annotations

import json
import re
import threading
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
        count = _empty(_client(topic), topic)
    except ClientError as error:
        words = str(error.response.get("Error", {}).get("Message") or "AWS refused it.")
    except (BotoCoreError, InvalidMessage):
        words = "The queue could not be reached."
    except MailhubError as error:
        words = error.message
    else:
        if topic.trouble:
            SesTopic.objects.filter(pk=topic.pk).update(trouble="")
        return count
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


def _empty(client: Any, topic: SesTopic) -> int:
    count = 0
    for _ in range(_MOST_FETCHES):
        answer = client.receive_message(
            QueueUrl=topic.queue_url, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=0
        )
        messages = answer.get("Messages", [])
        if not messages:
            break
        known = [notice for each in messages if (notice := _read(each, topic)) is not None]
        if known:
            keep_notices(topic, known)
        client.delete_message_batch(
            QueueUrl=topic.queue_url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]}
                for number, each in enumerate(messages)
            ],
        )
        if topic.confirmed_at is None:
            topic.confirmed_at = timezone.now()
            topic.save(update_fields=["confirmed_at"])
        count += len(known)
    return count


def _read(message: Any, topic: SesTopic) -> tuple[str, str] | None:
    """Id and event: inside SNS's envelope, or bare where the subscription asks for that."""
    try:
        value = json.loads(message["Body"])
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if "Type" not in value:
        return str(message["MessageId"]), message["Body"]
    if value.get("Type") != NOTIFICATION or value.get("TopicArn") != topic.arn:
        return None
    notice_id, event = value.get("MessageId"), value.get("Message")
    if not isinstance(notice_id, str) or not isinstance(event, str):
        return None
    return clean_text(notice_id), clean_text(event)

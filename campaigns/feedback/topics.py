"""Registering the topics of Amazon SNS whose word a tenant takes on its mail."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.caller import Caller
from accounts.models import Credential, CredentialKind, Tenant
from campaigns.feedback.queues import is_queue_url
from campaigns.feedback.sns import is_topic
from campaigns.models import SesTopic
from mailhub.errors import Conflict, InvalidInput

NO_TOPIC = "Give the ARN of an SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME."
NO_QUEUE = "Give the URL of an SQS queue: https://sqs.REGION.amazonaws.com/ACCOUNT/NAME."


def readers_for(caller: Caller) -> QuerySet[Credential]:
    """The keys with which this person may have a queue read: its own."""
    return Credential.objects.for_caller(caller).filter(kind=CredentialKind.AWS)


def register_topic(
    tenant: Tenant, arn: str, queue_url: str = "", credential: Credential | None = None
) -> SesTopic:
    """Take the word of this topic from now on, posted or left in that queue.

    Raises InvalidInput, and Conflict where this tenant has registered it already.
    """
    if not is_topic(arn):
        raise InvalidInput.field("arn", NO_TOPIC)
    if queue_url and not is_queue_url(queue_url):
        raise InvalidInput.field("queue_url", NO_QUEUE)
    if bool(queue_url) != (credential is not None):
        words = "A queue and the keys to read it go together: give both, or neither."
        raise InvalidInput.field("credential_id", words)
    topic, is_new = SesTopic.objects.get_or_create(
        arn=arn, tenant=tenant, defaults={"queue_url": queue_url, "credential": credential}
    )
    if not is_new:
        raise Conflict("This topic is registered already.", code="topic_registered")
    return topic

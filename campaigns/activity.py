"""What campaigns know of contacts, for segments to ask: what they were sent, and did with it."""

from __future__ import annotations

from functools import partial

from django.db.models import QuerySet

from campaigns.models import Delivery, DeliveryState
from contacts.segments.activity import ActivityKind, register_activity

_KINDS = (
    ("sent", "was sent a message", DeliveryState.SENT),
    ("failed", "a message to it failed", DeliveryState.FAILED),
    ("skipped", "was left out", DeliveryState.SKIPPED),
)

_RESPONSES = {
    "bounced": "a message to it came back",
    "complained": "called a message spam",
    "unsubscribed": "unsubscribed by a message's link",
    "opened": "opened a message",
    "clicked": "followed a link of a message",
}


def register() -> None:
    """Let segments ask for all of it."""
    for name, words, state in _KINDS:
        register_activity(
            ActivityKind(
                name,
                words,
                rows=partial(_deliveries, state),
                moment="finished_at",
                campaign="campaign__campaign_id",
            )
        )
    for name, words in _RESPONSES.items():
        register_activity(
            ActivityKind(
                name,
                words,
                rows=partial(_responses, name),
                moment=f"{name}_at",
                campaign="campaign__campaign_id",
            )
        )


def _deliveries(state: DeliveryState) -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=state)


def _responses(name: str) -> QuerySet[Delivery]:
    return Delivery.objects.filter(**{f"{name}_at__isnull": False})

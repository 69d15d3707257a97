"""A webhook that leads to a receiver, and what is due for it delivered here and now."""

from __future__ import annotations

import threading

from django.utils import timezone

from accounts.event_webhooks import add_webhook
from accounts.events.courier import claim_due
from accounts.events.delivering import Turn
from accounts.events.publishing import publish_many
from accounts.models import EventDelivery, EventWebhook
from tests.people import People
from tests.servers.receiver import Receiver

NEWS = {"accountId": "a"}


class Hooked:
    """A webhook of the tenant that leads to a receiver."""

    def __init__(self, people: People, receiver: Receiver, events: list[str] | None = None) -> None:
        self.tenant_id = people.tenant.pk
        row, self.secret = add_webhook(
            people.admin.caller, url=receiver.url, events=events or ["*"]
        )
        self.pk = row.pk

    @property
    def row(self) -> EventWebhook:
        return EventWebhook.objects.get(pk=self.pk)

    def is_enabled(self) -> bool:
        return self.row.is_enabled

    @property
    def deliveries(self) -> list[EventDelivery]:
        return list(EventDelivery.objects.filter(webhook=self.pk).order_by("pk"))

    def publish(self, number: int = 1) -> None:
        publish_many(self.tenant_id, "account.connected", [NEWS] * number)

    def wait_no_longer(self) -> None:
        """As if the time of every next try had come."""
        EventWebhook.objects.filter(pk=self.pk).update(held_until=None)
        waiting = EventDelivery.objects.filter(webhook=self.pk, next_attempt_at__isnull=False)
        waiting.update(next_attempt_at=timezone.now())


def deliver() -> int:
    """What is due now, in this thread; to how many webhooks."""
    webhooks = list(claim_due(16))
    for webhook in webhooks:
        Turn(webhook, threading.Event()).run()
    return len(webhooks)

"""An event on its way to one webhook: one row, kept up to date at every try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

from accounts.models.event import Event
from accounts.models.event_webhook import EventWebhook

if TYPE_CHECKING:
    from accounts.caller import Caller


class EventDeliveryState(models.TextChoices):
    """pending → delivered, or failed when its tries are used up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class EventDeliveryQuerySet(models.QuerySet["EventDelivery"]):
    def for_caller(self, caller: Caller) -> Self:
        """Those of the tenant's webhooks."""
        return self.filter(webhook__tenant_id=caller.tenant.pk)


class EventDelivery(models.Model):
    """`status` and `reply` are what the receiver answered to the last try: an HTTP status,
    0 where there was no answer, and the first words of a refusal.

    `next_attempt_at` is null once nothing more will be tried. The database does not insist
    on the webhook: somebody may delete it while a change that it is to be told of commits,
    and that change must not fail for it.
    """

    webhook = models.ForeignKey(
        EventWebhook,
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_index=False,
        db_constraint=False,
    )
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(
        max_length=9, choices=EventDeliveryState.choices, default=EventDeliveryState.PENDING
    )
    attempts = models.PositiveIntegerField(default=0)
    status = models.PositiveSmallIntegerField(default=0)
    reply = models.TextField(blank=True)
    last_attempt_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)

    objects = EventDeliveryQuerySet.as_manager()

    class Meta:
        db_table = "event_deliveries"
        verbose_name_plural = "event deliveries"
        indexes = [
            models.Index(fields=["webhook", "id"], name="event_delivery_newest"),
            models.Index(
                fields=["webhook", "next_attempt_at", "id"],
                condition=Q(next_attempt_at__isnull=False),
                name="event_delivery_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.webhook_id}"

"""Something that became known of a delivery after its message left, each thing once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F

from campaigns.models.campaign import Campaign
from campaigns.models.delivery import Delivery

if TYPE_CHECKING:
    from accounts.caller import Caller


class EventKind(models.TextChoices):
    """What happened.

    delivery: the recipient's server took the message. delay: it is still on its way. bounce:
    it came back for good, `verdict` says why. reject, rendering_failure: the provider that we
    handed it to did not send it. subscription: the person changed its subscription there.
    elsewhere: a report about another address, to which the message was passed on: it says
    nothing of the recipient.
    """

    DELIVERY = "delivery"
    DELAY = "delay"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    REJECT = "reject"
    RENDERING_FAILURE = "rendering_failure"
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    SUBSCRIPTION = "subscription"
    ELSEWHERE = "elsewhere"


class EventSource(models.TextChoices):
    """Who told of it: a reply while sending, a report by mail, Amazon SES, or a page of ours."""

    REPLY = "reply"
    REPORT = "report"
    SES = "ses"
    PAGE = "page"


class DeliveryEventQuerySet(models.QuerySet["DeliveryEvent"]):
    def for_caller(self, caller: Caller) -> Self:
        """The events of the caller's tenant."""
        return self.filter(campaign__tenant_id=caller.tenant.pk)

    def standing_bounces(self) -> Self:
        """Those since each message was sent last: one that is sent once more has not bounced."""
        return self.filter(kind=EventKind.BOUNCE, at__gte=F("delivery__bounced_at"))


class DeliveryEvent(models.Model):
    """`key` names the event where it comes from: told a second time, it is the same one.

    `at` is when it happened. `verdict` is a `mailhub.mail.bounce.Verdict` for a bounce, else "".
    `is_automatic` marks an open or a click by a program, which says nothing of the person.
    `details` are JSON values for people to read, without anything that names another person.
    """

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    campaign = models.ForeignKey(
        Campaign, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    kind = models.CharField(max_length=17, choices=EventKind.choices)
    verdict = models.CharField(max_length=16, blank=True)
    is_automatic = models.BooleanField(default=False)
    at = models.DateTimeField()
    source = models.CharField(max_length=6, choices=EventSource.choices)
    key = models.CharField(max_length=200)
    details = models.JSONField(default=dict, blank=True)

    objects = DeliveryEventQuerySet.as_manager()

    class Meta:
        db_table = "delivery_events"
        # The first also finds what became of one delivery.
        constraints = [
            models.UniqueConstraint(
                fields=["delivery", "source", "key"], name="delivery_event_once"
            )
        ]
        indexes = [models.Index(fields=["campaign", "kind", "at"], name="delivery_event_over_time")]

    def __str__(self) -> str:
        return f"{self.kind} of delivery {self.delivery_id}"

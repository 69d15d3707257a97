"""One recipient of one campaign, and what became of the message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

from accounts.models import EmailAccount
from campaigns.models.campaign import Campaign
from campaigns.models.send_shift import SendShift
from contacts.models import Contact

if TYPE_CHECKING:
    from accounts.caller import Caller


class DeliveryState(models.TextChoices):
    """What became of a recipient.

        queued ──┬→ sent | failed | skipped | uncertain
           ↑     └→ deferred ─┐
           └──────────────────┘

    One that a worker has in hand is shown as sending. Its state stays what it was: then a claim
    changes nothing that is in an index, which is most of what it would cost.

    sent: accepted by the server. uncertain: the connection or the worker was lost before
    the server's last reply was seen; never sent again by itself. skipped: not to be
    written to, `reply` says why.
    """

    QUEUED = "queued"
    DEFERRED = "deferred"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNCERTAIN = "uncertain"


# What is shown of those that a worker has in hand.
SENDING = "sending"
SHOWN_STATES = (str(DeliveryState.QUEUED), SENDING, *DeliveryState.values[1:])
LONGEST_PROVIDER_ID = 100
# What may follow on a message that was sent: `bounced` is noted as `bounced_at`.
RESPONSES = ("bounced", "complained", "unsubscribed", "opened", "clicked")
REMAINING = (DeliveryState.QUEUED, DeliveryState.DEFERRED)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def for_caller(self, caller: Caller) -> Self:
        """The deliveries of the caller's tenant."""
        return self.filter(campaign__tenant_id=caller.tenant.pk)

    def remaining(self) -> Self:
        """Those whose fate is open."""
        return self.filter(state__in=REMAINING)


def shown_as(state: str) -> Q:
    """A condition: the deliveries that are shown in this one of SHOWN_STATES."""
    if state == SENDING:
        return Q(state__in=REMAINING, shift__isnull=False)
    return Q(state=state, shift=None) if state in REMAINING else Q(state=state)


class Delivery(models.Model):
    """`reply` holds the server's last words, or ours where it said nothing.

    `account` is by which of several accounts it goes, or went; None where the campaign has but
    one way out; it stays when that account is deleted. `shift` is set exactly while a worker
    has it in hand; `next_attempt_at` exactly while it is deferred. `message_id` is that of the last
    attempt, `provider_id` the name that its provider gave it (SES's message id). The moments
    from `delivered_at` on are the first of their kind, by whichever report; `DeliveryEvent` has
    them all.
    """

    # No constraints of the database: see campaigns.delivery_keys.
    campaign = models.ForeignKey(
        Campaign,
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_index=False,
        db_constraint=False,
    )
    contact = models.ForeignKey(
        Contact,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="deliveries",
        db_constraint=False,
    )
    email = models.CharField(max_length=320)
    account = models.ForeignKey(
        EmailAccount,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
        editable=False,
    )
    state = models.CharField(
        max_length=9, choices=DeliveryState.choices, default=DeliveryState.QUEUED
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    shift = models.ForeignKey(
        SendShift,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    message_id = models.CharField(max_length=255, blank=True)
    provider_id = models.CharField(max_length=LONGEST_PROVIDER_ID, blank=True)
    reply = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True, editable=False)
    bounced_at = models.DateTimeField(null=True, blank=True, editable=False)
    complained_at = models.DateTimeField(null=True, blank=True, editable=False)
    unsubscribed_at = models.DateTimeField(null=True, blank=True, editable=False)
    opened_at = models.DateTimeField(null=True, blank=True, editable=False)
    clicked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        db_table = "campaign_deliveries"
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["campaign", "email"], name="one_delivery_a_recipient")
        ]
        # The first serves the counters, the claims and the lists alike.
        indexes = [
            models.Index(fields=["campaign", "state", "id"], name="delivery_by_state"),
            models.Index(
                fields=["campaign", "next_attempt_at"],
                name="delivery_due",
                condition=Q(next_attempt_at__isnull=False),
            ),
            models.Index(
                fields=["provider_id"],
                name="delivery_at_provider",
                condition=~Q(provider_id=""),
            ),
            *(
                models.Index(
                    fields=["campaign", "id"],
                    name=f"delivery_{response}",
                    condition=Q(**{f"{response}_at__isnull": False}),
                )
                for response in RESPONSES
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def shown_state(self) -> str:
        """One of SHOWN_STATES."""
        return str(self.state) if self.shift_id is None else SENDING

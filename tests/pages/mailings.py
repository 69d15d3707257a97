"""Campaigns as they stand while they go, for tests of what the pages show of them."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from campaigns.models import Campaign, CampaignStatus, Delivery, DeliveryState
from tests.people import Person


def make_campaign(
    person: Person,
    *,
    sent: int = 0,
    failed: int = 0,
    skipped: int = 0,
    uncertain: int = 0,
    queued: int = 0,
    **fields: Any,
) -> Campaign:
    """A started campaign of this person's tenant, with so many deliveries in each state."""
    values = {
        "name": "Spring letter",
        "subject": "Spring is here, {{ first_name }}",
        "from_email": "Acme <news@acme.example>",
        "status": CampaignStatus.IN_PROGRESS,
        "started_at": timezone.now(),
        "total_contacts": sent + failed + skipped + uncertain + queued,
        **fields,
    }
    campaign = Campaign.objects.create(tenant=person.tenant, created_by=person.user, **values)
    wanted = {
        DeliveryState.SENT: sent,
        DeliveryState.FAILED: failed,
        DeliveryState.SKIPPED: skipped,
        DeliveryState.UNCERTAIN: uncertain,
        DeliveryState.QUEUED: queued,
    }
    Delivery.objects.bulk_create(
        Delivery(
            campaign=campaign,
            email=f"{state}{number}@example.com",
            state=state,
            reply="550 5.1.1 <b>No such user</b> here" if state == DeliveryState.FAILED else "",
            finished_at=None if state == DeliveryState.QUEUED else timezone.now(),
        )
        for state, count in wanted.items()
        for number in range(count)
    )
    return campaign


def settle(campaign: Campaign, state: DeliveryState, count: int) -> None:
    """Move so many deliveries that are queued to this state, as a worker does."""
    waiting = Delivery.objects.filter(campaign=campaign, state=DeliveryState.QUEUED)
    keys = list(waiting.order_by("pk").values_list("pk", flat=True)[:count])
    reply = "550 5.1.1 Mailbox is gone" if state == DeliveryState.FAILED else "250 2.0.0 Ok"
    Delivery.objects.filter(pk__in=keys).update(
        state=state, reply=reply, finished_at=timezone.now()
    )

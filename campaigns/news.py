"""Telling the tenant's webhooks what becomes of a campaign, and of each of its recipients.

Everything is written in the transaction that it tells of. Where nobody asked for it, that
costs one look at a small table.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from accounts.events.publishing import is_wanted, publish, publish_many
from campaigns.models import Campaign, CampaignStatus, Delivery, DeliveryState

_NEWS = {
    CampaignStatus.IN_PROGRESS: "campaign.started",
    CampaignStatus.PAUSED: "campaign.paused",
    CampaignStatus.COMPLETED: "campaign.completed",
    CampaignStatus.FAILED: "campaign.failed",
    CampaignStatus.CANCELLED: "campaign.cancelled",
}


def tell_of(campaign: Campaign) -> None:
    """It has changed its status just now, in the transaction that this is part of."""
    event_type = _NEWS.get(CampaignStatus(campaign.status))
    if event_type is not None:
        publish(
            campaign.tenant_id,
            event_type,
            {
                "campaign_id": campaign.campaign_id,
                "campaign_name": campaign.name,
                "status": str(campaign.status),
                "last_error": campaign.last_error,
            },
        )


_OUTCOMES = {DeliveryState.SENT: "delivery.sent", DeliveryState.FAILED: "delivery.failed"}


def tell_of_outcomes(campaign: Campaign, keys: Sequence[int], at: datetime) -> None:
    """The deliveries with these keys that ended at this moment, sent or failed."""
    for state, event_type in _OUTCOMES.items():
        if keys and is_wanted(campaign.tenant_id, event_type):
            rows = Delivery.objects.filter(pk__in=keys, state=state, finished_at=at)
            publish_many(
                campaign.tenant_id,
                event_type,
                [
                    delivery_values(campaign.campaign_id, row, at)
                    | ({"reply": row.reply} if state == DeliveryState.FAILED else {})
                    for row in rows.order_by("pk")
                ],
            )


def delivery_values(campaign_id: str, delivery: Delivery, at: datetime) -> dict[str, Any]:
    """What every event of a delivery holds."""
    return {
        "campaign_id": campaign_id,
        "email": delivery.email,
        "message_id": delivery.message_id,
        "at": at.isoformat().replace("+00:00", "Z"),
    }

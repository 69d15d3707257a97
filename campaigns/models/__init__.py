"""One model a file; everything that others may import is named here."""

from campaigns.models.campaign import (
    ACTIVE,
    OVER,
    Campaign,
    CampaignKind,
    CampaignSender,
    CampaignStatus,
)
from campaigns.models.campaign_attachment import CampaignAttachment
from campaigns.models.campaign_audience import CampaignAudience
from campaigns.models.delivery import REMAINING, Delivery, DeliveryState
from campaigns.models.send_shift import SendShift

__all__ = [
    "ACTIVE",
    "OVER",
    "REMAINING",
    "Campaign",
    "CampaignAttachment",
    "CampaignAudience",
    "CampaignKind",
    "CampaignSender",
    "CampaignStatus",
    "Delivery",
    "DeliveryState",
    "SendShift",
]

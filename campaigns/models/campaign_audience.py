"""Who a campaign was asked to reach, and how far its recipients have been written down."""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign


class CampaignAudience(models.Model):
    """`rule` is {"everyone": true} or {"emails": [lower-cased, each once]}.

    `position` is the last contact's key, or the number of addresses, already written down
    as deliveries; it moves in the same transaction as they appear. `last_contact` bounds
    who was there when the campaign was started.
    """

    campaign = models.OneToOneField(
        Campaign, on_delete=models.CASCADE, primary_key=True, related_name="audience"
    )
    rule = models.JSONField(default=dict)
    position = models.BigIntegerField(default=0)
    last_contact = models.BigIntegerField(null=True)
    is_fixed = models.BooleanField(default=False)

    class Meta:
        db_table = "campaign_audiences"

    def __str__(self) -> str:
        return f"audience of campaign {self.campaign_id}"

"""Who a campaign was asked to reach, and how far its recipients have been written down."""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign


class CampaignAudience(models.Model):
    """`rule` is {"everyone": true}, or names lists by their keys, segments and addresses:
    {"lists": [3], "segments": [5, {rule}], "emails": [lower-cased, each once]}. When the
    audience begins to be written, the keys of segments are replaced by their rules.

    `position` is the last contact's key that is written down as a delivery or passed over,
    `emails_position` the number of addresses; they move in the same transaction as the
    deliveries appear. `last_contact` bounds who was there when the campaign was started.
    """

    campaign = models.OneToOneField(
        Campaign, on_delete=models.CASCADE, primary_key=True, related_name="audience"
    )
    rule = models.JSONField(default=dict)
    position = models.BigIntegerField(default=0)
    emails_position = models.BigIntegerField(default=0)
    last_contact = models.BigIntegerField(null=True)
    is_fixed = models.BooleanField(default=False)

    class Meta:
        db_table = "campaign_audiences"

    def __str__(self) -> str:
        return f"audience of campaign {self.campaign_id}"

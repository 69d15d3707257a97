"""A file that goes with every message of a campaign, held once."""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign


class CampaignAttachment(models.Model):
    """`content` is as decoded, never base64."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="attachments")
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255, default="application/octet-stream")
    size = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "campaign_attachments"
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.filename

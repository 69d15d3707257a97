"""A file that goes with every message of a campaign."""

from __future__ import annotations

from django.db import models

from campaigns.models.attached_file import AttachedFile
from campaigns.models.campaign import Campaign


class CampaignAttachment(AttachedFile):
    """Copied from the template when the campaign takes its text from there."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="attachments")

    class Meta(AttachedFile.Meta):
        db_table = "campaign_attachments"

"""A link of a campaign whose clicks are counted."""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign


class CampaignLink(models.Model):
    """`number` counts from 1 in the order of the template; `target` is the link as it was
    written there, a template itself where its path or query is personalised.

    `clicked` are recipients, each once, `clicks` all by people; those by programs are apart.
    """

    id = models.BigAutoField(primary_key=True)
    campaign = models.ForeignKey(
        Campaign, on_delete=models.CASCADE, related_name="links", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    target = models.TextField()
    clicked = models.PositiveIntegerField(default=0)
    clicks = models.PositiveBigIntegerField(default=0)
    automatic_clicks = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "campaign_links"
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "number"], name="one_link_a_number")
        ]

    def __str__(self) -> str:
        return self.target

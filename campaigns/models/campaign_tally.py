"""How many recipients of a campaign are in each state, without counting them."""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign


class CampaignTally(models.Model):
    """A part of the sum: a campaign may have many of these, and their numbers may be negative.

    Written by triggers of the database alone (see campaigns.tallies), which also delete it with
    its campaign; each number is named after a state.
    """

    campaign = models.ForeignKey(
        Campaign, on_delete=models.DO_NOTHING, related_name="tallies", db_constraint=False
    )
    queued = models.BigIntegerField(default=0)
    deferred = models.BigIntegerField(default=0)
    sent = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(default=0)
    uncertain = models.BigIntegerField(default=0)

    class Meta:
        db_table = "campaign_tallies"
        verbose_name_plural = "campaign tallies"

    def __str__(self) -> str:
        return f"tally of campaign {self.campaign_id}"

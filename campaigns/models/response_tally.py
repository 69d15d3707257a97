"""How many recipients did what, kept beside the events so that nobody has to count them."""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign


class ResponseTally(models.Model):
    """Recipients, each once, and beneath them how often; there is a row once anything happened.

    `opens` and `clicks` are by people; those by programs are apart.
    """

    campaign = models.OneToOneField(
        Campaign, on_delete=models.CASCADE, primary_key=True, related_name="responses"
    )
    delivered = models.PositiveIntegerField(default=0)
    bounced = models.PositiveIntegerField(default=0)
    complained = models.PositiveIntegerField(default=0)
    unsubscribed = models.PositiveIntegerField(default=0)
    opened = models.PositiveIntegerField(default=0)
    clicked = models.PositiveIntegerField(default=0)
    opens = models.PositiveBigIntegerField(default=0)
    clicks = models.PositiveBigIntegerField(default=0)
    automatic_opens = models.PositiveBigIntegerField(default=0)
    automatic_clicks = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "campaign_response_tallies"

    def __str__(self) -> str:
        return f"responses to campaign {self.campaign_id}"

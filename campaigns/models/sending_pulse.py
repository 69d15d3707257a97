"""How many recipients of a campaign were dealt with in ten seconds: its pace, to be drawn."""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign

SECONDS = 10


class SendingPulse(models.Model):
    """`slot` is the beginning of the ten seconds, in tens of seconds since the epoch.

    There is none for a time in which nothing ended.
    """

    id = models.BigAutoField(primary_key=True)
    campaign = models.ForeignKey(
        Campaign, on_delete=models.CASCADE, related_name="pulses", db_index=False
    )
    slot = models.BigIntegerField()
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "campaign_pulses"
        constraints = [
            models.UniqueConstraint(fields=["campaign", "slot"], name="one_pulse_a_slot")
        ]

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.failed} failed"

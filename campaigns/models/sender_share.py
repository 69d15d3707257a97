"""One of several accounts by which a campaign goes, and its share of the recipients."""

from __future__ import annotations

from django.db import models

from accounts.models import EmailAccount
from campaigns.models.campaign import Campaign
from campaigns.models.rate_limited import RateLimited

MOST_WEIGHT = 1000


class SenderShare(RateLimited):
    """Of all weights together, `weight` is the part of the recipients that this one writes to.

    `from_email` is the account's address where it is empty. Its rate limits count all that
    any campaign sends by this account. `trouble` says why it is left out, and the others
    do its part.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="senders")
    account = models.ForeignKey(EmailAccount, on_delete=models.CASCADE, related_name="+")
    from_email = models.CharField(max_length=400, blank=True)
    weight = models.PositiveSmallIntegerField(default=1)
    trouble = models.TextField(blank=True, editable=False)

    class Meta:
        db_table = "campaign_senders"
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.from_email or str(self.account)

"""What was sent lately by a campaign, or by an account, that must not go too fast."""

from __future__ import annotations

from django.db import models


class SendAllowance(models.Model):
    """Shared by all workers on all machines. `key` is `campaign:<id>` or `account:<id>`.

    `free_at` is when the next message may leave. `ledger` counts messages by minutes for an
    hour and by quarters of an hour for a day, each named by its beginning in seconds since
    the epoch. A change is made only from the `version` that was read.
    """

    key = models.CharField(max_length=64, primary_key=True)
    free_at = models.DateTimeField(null=True)
    ledger = models.JSONField(default=dict)
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "campaign_allowances"

    def __str__(self) -> str:
        return self.key

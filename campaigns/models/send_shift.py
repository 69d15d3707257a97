"""One worker's turn at a campaign: asked for, taken by a process, gone when it is over.

The row is the lease on every delivery that names it. `process` says which process took
it (see campaigns.engine.processes) and `renewed_at` when that process was last heard of, both
empty while the turn waits in the queue. Who finds the process gone settles what it left.
"""

from __future__ import annotations

from django.db import models

from campaigns.models.campaign import Campaign


class SendShift(models.Model):
    """`journal` is the file, under the data folder of the worker's machine, of its events.

    `rate` is how many messages a second were accepted lately, at first in the turn before.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="shifts")
    asked_at = models.DateTimeField()
    process = models.CharField(max_length=300, blank=True)
    renewed_at = models.DateTimeField(null=True)
    journal = models.CharField(max_length=100, blank=True)
    rate = models.FloatField(default=0)

    class Meta:
        db_table = "campaign_send_shifts"

    def __str__(self) -> str:
        return f"shift {self.pk} of campaign {self.campaign_id}"

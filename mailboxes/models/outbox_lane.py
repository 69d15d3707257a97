"""The order in which one sender's messages leave: one worker at a time, by a lease."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import EmailAccount, Tenant


class OutboxLane(models.Model):
    """An account's messages, or with no account those that a tenant sends by the default sender.

    `due_at` is when the first of its messages may leave, null where none waits. `worker` has
    the lane until `leased_until`. `minute_count` of its messages have begun to leave since
    `minute_began_at`: only so many may in a minute (MAILHUB_ACCOUNT_RATE).
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, null=True, related_name="outbox_lanes"
    )
    due_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=100, blank=True)
    leased_until = models.DateTimeField(null=True)
    minute_began_at = models.DateTimeField(null=True)
    minute_count = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "outbox_lanes"
        constraints = [
            models.UniqueConstraint(fields=["account"], name="one_outbox_lane_an_account"),
            models.UniqueConstraint(
                fields=["tenant"], condition=Q(account=None), name="one_default_lane_a_tenant"
            ),
        ]
        indexes = [models.Index(fields=["due_at"], name="outbox_lane_due")]

    def __str__(self) -> str:
        return f"lane of {self.account or self.tenant}"

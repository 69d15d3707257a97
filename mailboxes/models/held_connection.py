"""A connection to an account's mail server that some process of the installation has open."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now

from accounts.models import EmailAccount

# Processes that live renew what they hold every ten seconds.
HELD_FOR = timedelta(seconds=30)


class HeldConnection(models.Model):
    """It takes a numbered place at its account and one at its host, and nobody else has the
    same: that is how the limits hold, whatever the database. `holder` is a process.

    One that was not renewed for `HELD_FOR` belongs to a process that is gone.
    """

    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    account_place = models.PositiveIntegerField()
    host = models.CharField(max_length=253)
    host_place = models.PositiveIntegerField()
    holder = models.UUIDField(db_index=True)
    renewed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "held_connections"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "account_place"], name="connection_place_at_account"
            ),
            models.UniqueConstraint(fields=["host", "host_place"], name="connection_place_at_host"),
        ]

    def __str__(self) -> str:
        return f"{self.host}: {self.account_id}"

"""A file of raw messages, one behind the other; see `mailboxes.raw_store`."""

from __future__ import annotations

from django.db import models

from accounts.models import EmailAccount


class RawPack(models.Model):
    """Its id names the file. `octets` counts what was written, holes of deleted messages too.

    One that is not complete is being written, or was begun by a process that is gone.
    """

    account = models.ForeignKey(EmailAccount, on_delete=models.CASCADE, related_name="raw_packs")
    is_complete = models.BooleanField(default=False)
    octets = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "raw_packs"
        indexes = [
            models.Index(
                fields=["account", "created_at"],
                condition=models.Q(is_complete=False),
                name="raw_pack_incomplete",
            )
        ]

    def __str__(self) -> str:
        return f"{self.account_id}/{self.pk}"

"""When a message last changed: one narrow row a message, which outlives it."""

from __future__ import annotations

from django.db import models

from accounts.models import EmailAccount


class MessageChange(models.Model):
    """`sequence` is the account's at the last change, `appeared` at the last coming into sight.

    `is_removed`: it lies in no folder, or is gone altogether.
    """

    message_id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    sequence = models.BigIntegerField()
    appeared = models.BigIntegerField()
    is_removed = models.BooleanField(default=False)
    noted_at = models.DateTimeField()

    class Meta:
        db_table = "message_changes"
        indexes = [
            models.Index(fields=["account", "sequence", "message_id"], name="change_in_order")
        ]

    def __str__(self) -> str:
        return f"{self.message_id}: {self.sequence}"

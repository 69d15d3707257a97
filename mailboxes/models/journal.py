"""How far an account's mail has changed: a number that every change of it raises."""

from __future__ import annotations

from django.db import models

from accounts.models import EmailAccount


class Journal(models.Model):
    """`sequence` is that of the last change; `forgotten` that of the last removal forgotten.

    Whoever changes mail of the account updates this row first, in the same transaction. So
    changes of one account are committed one after another, in the order of their numbers.
    """

    account = models.OneToOneField(
        EmailAccount, on_delete=models.CASCADE, related_name="+", primary_key=True
    )
    sequence = models.BigIntegerField(default=0)
    forgotten = models.BigIntegerField(default=0)

    class Meta:
        db_table = "journals"

    def __str__(self) -> str:
        return f"{self.account_id}: {self.sequence}"

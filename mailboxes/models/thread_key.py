"""What ties messages to a conversation; see `mailhub.mail.threading`."""

from __future__ import annotations

from django.db import models

from mailboxes.models.thread import Thread


class ThreadKey(models.Model):
    """`digest` is of account, base subject and message id."""

    digest = models.BigIntegerField(primary_key=True)
    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="keys")

    class Meta:
        db_table = "thread_keys"

    def __str__(self) -> str:
        return f"{self.digest}: {self.thread_id}"

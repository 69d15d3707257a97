"""A message that could not be fetched: recorded, so that the rest goes on without it."""

from __future__ import annotations

from django.db import models

from mailboxes.models.folder import Folder

TRIES_BEFORE_LEAVING = 3


class SkippedMessage(models.Model):
    """After three passes it is left alone, until a full pass tries it again."""

    folder = models.ForeignKey(
        Folder, on_delete=models.CASCADE, related_name="skipped", db_index=False
    )
    uid = models.BigIntegerField()
    reason = models.TextField()
    tries = models.PositiveIntegerField(default=1)
    last_tried_at = models.DateTimeField()

    class Meta:
        db_table = "skipped_messages"
        constraints = [models.UniqueConstraint(fields=["folder", "uid"], name="skipped_uid")]

    def __str__(self) -> str:
        return f"{self.folder_id}/{self.uid}: {self.reason}"

"""A message as a POP3 server names it: its unique-id, and the number that it has here."""

from __future__ import annotations

from django.db import models

from mailboxes.models.folder import Folder


class MaildropMessage(models.Model):
    """`uid` is that of the message's placement: given in the order of arrival, never twice.

    `is_discarded`: deleted here, and not to be fetched again. `listed_at` is when the
    server named it first, `absent_since` since when it does so no more.
    """

    folder = models.ForeignKey(
        Folder, on_delete=models.CASCADE, related_name="maildrop_messages", db_index=False
    )
    unique_id = models.CharField(max_length=71)
    uid = models.BigIntegerField()
    is_discarded = models.BooleanField(default=False)
    listed_at = models.DateTimeField()
    absent_since = models.DateTimeField(null=True)

    class Meta:
        db_table = "maildrop_messages"
        constraints = [
            models.UniqueConstraint(fields=["folder", "unique_id"], name="maildrop_unique_id"),
            models.UniqueConstraint(fields=["folder", "uid"], name="maildrop_uid"),
        ]

    def __str__(self) -> str:
        return f"{self.folder_id}/{self.unique_id}"

"""The octets of a message that is to be sent, apart from the rows that lists read."""

from __future__ import annotations

from django.db import models

from mailboxes.models.outbox_message import OutboxMessage


class OutboxContent(models.Model):
    """`wire` is what leaves, without Bcc; `bcc` the field that the writer's own copy has besides.

    It lies in the database, so that it is committed with the row that promises to send it,
    and any machine can do so.
    """

    message = models.OneToOneField(
        OutboxMessage, on_delete=models.CASCADE, primary_key=True, related_name="content"
    )
    wire = models.BinaryField()
    bcc = models.TextField(blank=True)

    class Meta:
        db_table = "outbox_contents"

    def __str__(self) -> str:
        return f"content of {self.message_id}"

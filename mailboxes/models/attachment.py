"""What is known of a message's attachment; its octets stay in the raw message."""

from __future__ import annotations

from django.db import models

from mailboxes.models.message import Message


class Attachment(models.Model):
    """`index` counts from 0 in the order of the message; `size` is in decoded octets."""

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="attachments", db_index=False
    )
    index = models.PositiveIntegerField()
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    content_id = models.CharField(max_length=998, blank=True)
    is_inline = models.BooleanField(default=False)

    class Meta:
        db_table = "attachments"
        ordering = ["index"]
        constraints = [
            models.UniqueConstraint(fields=["message", "index"], name="attachment_index")
        ]

    def __str__(self) -> str:
        return self.filename

"""A stretch of a draft's attachment."""

from __future__ import annotations

from django.db import models

from mailboxes.models.draft_attachment import DraftAttachment


class DraftPiece(models.Model):
    """The octets lie in the database, as those of the outbox do: they are committed with the
    draft that needs them, and any machine can read them; in pieces, so that no process holds
    a whole file.
    """

    attachment = models.ForeignKey(
        DraftAttachment, on_delete=models.CASCADE, related_name="pieces", db_index=False
    )
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "draft_pieces"
        constraints = [
            models.UniqueConstraint(fields=["attachment", "number"], name="one_piece_a_number")
        ]

    def __str__(self) -> str:
        return f"{self.attachment_id}/{self.number}"

"""A file that goes with a draft."""

from __future__ import annotations

from django.db import models

from mailboxes.models.draft import Draft


class DraftAttachment(models.Model):
    """Its octets are its `DraftPiece` rows. `digest` is their SHA-256, `size` counts them.

    `index`: of a draft that another program has written, they are those of this attachment
    of its `copy`, until it is changed here; null otherwise. `is_inline`: the HTML shows it
    by its `content_id`.
    """

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="attachments")
    filename = models.CharField(max_length=255, blank=True)
    content_type = models.CharField(max_length=255)
    content_id = models.CharField(max_length=200, blank=True)
    is_inline = models.BooleanField(default=False)
    size = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True)
    index = models.PositiveIntegerField(null=True)

    class Meta:
        db_table = "draft_attachments"
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.filename

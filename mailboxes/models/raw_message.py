"""Where the octets of a message are kept."""

from __future__ import annotations

from django.db import models

from mailboxes.models.raw_pack import RawPack


class RawMessage(models.Model):
    """`length` octets from `offset` of the pack, whose SHA-256 is `digest`."""

    pack = models.ForeignKey(RawPack, on_delete=models.CASCADE, related_name="messages")
    digest = models.CharField(max_length=64)
    offset = models.PositiveBigIntegerField()
    length = models.PositiveBigIntegerField()

    class Meta:
        db_table = "raw_messages"
        indexes = [models.Index(fields=["digest"], name="raw_message_by_digest")]

    def __str__(self) -> str:
        return self.digest

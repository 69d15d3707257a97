"""One try to send a message: when, and in the server's words how it went."""

from __future__ import annotations

from django.db import models

from mailboxes.models.outbox_message import OutboxMessage


class SendAttempt(models.Model):
    """`result` is sent, deferred, failed or uncertain; `code` is the reply's, 0 for none."""

    message = models.ForeignKey(OutboxMessage, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    ended_at = models.DateTimeField()
    result = models.CharField(max_length=9)
    code = models.PositiveIntegerField(default=0)
    reply = models.TextField(blank=True)

    class Meta:
        db_table = "send_attempts"
        constraints = [
            models.UniqueConstraint(fields=["message", "number"], name="one_attempt_a_number")
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.result}"

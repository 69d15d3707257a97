"""A stored message that may be a report about something that was sent, and is to be read as one."""

from __future__ import annotations

from django.db import models

from mailboxes.models.message import Message


class SuspectedReport(models.Model):
    """Written with the message's body, and gone once it was read: so none is missed.

    `due_at` is in the future where something failed meanwhile.
    """

    message = models.OneToOneField(
        Message, on_delete=models.CASCADE, primary_key=True, related_name="suspected_report"
    )
    due_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "suspected_reports"
        indexes = [models.Index(fields=["due_at"], name="suspected_report_due")]

    def __str__(self) -> str:
        return f"message {self.message_id}"

"""What came back by mail about a message that was sent."""

from __future__ import annotations

from django.db import models

from mailboxes.models.message import Message
from mailboxes.models.outbox_message import OutboxMessage


class DeliveryReport(models.Model):
    """What one report says of one recipient.

    `recipient` is one of the message's where the report's can be told to be that, else the
    report's own. `verdict`, `action`, `status` (an enhanced code) and `remote_mta` are those
    of `mailhub.mail.bounce`; `reason` is in the server's words. `source` is the message in a
    mailbox, null once that is gone; `report_key` tells the same report that lies in
    several mailboxes.
    """

    outbox = models.ForeignKey(
        OutboxMessage, on_delete=models.CASCADE, related_name="reports", db_index=False
    )
    source = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="+")
    report_key = models.CharField(max_length=64)
    recipient = models.CharField(max_length=320, blank=True)
    verdict = models.CharField(max_length=14)
    action = models.CharField(max_length=9, blank=True)
    status = models.CharField(max_length=11, blank=True)
    reason = models.TextField(blank=True)
    remote_mta = models.CharField(max_length=255, blank=True)
    received_at = models.DateTimeField()

    class Meta:
        db_table = "delivery_reports"
        constraints = [
            models.UniqueConstraint(
                fields=["outbox", "report_key", "recipient", "verdict"], name="one_report_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.recipient}: {self.verdict}"

"""A message that nobody got, waiting for a person to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mailboxes.models.outbox_message import OutboxMessage

if TYPE_CHECKING:
    from accounts.caller import Caller


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    def for_caller(self, caller: Caller) -> Self:
        """Those of messages that the caller may see."""
        seen = OutboxMessage.objects.for_caller(caller).order_by().values("pk")
        return self.filter(message__in=seen)


class DeadLetter(models.Model):
    """`copied_at` is when the queue of MAILHUB_DEAD_LETTER_SQS_URL got a copy, null before.

    `copy_due_at` is when the next of `copy_tries` tries to copy it may begin.
    """

    message = models.OneToOneField(
        OutboxMessage, on_delete=models.CASCADE, related_name="dead_letter"
    )
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    copied_at = models.DateTimeField(null=True)
    copy_due_at = models.DateTimeField(default=timezone.now)
    copy_tries = models.PositiveIntegerField(default=0)

    objects = DeadLetterQuerySet.as_manager()

    class Meta:
        db_table = "dead_letters"
        indexes = [
            models.Index(
                fields=["copy_due_at"], condition=Q(copied_at=None), name="dead_letter_to_copy"
            )
        ]

    def __str__(self) -> str:
        return f"dead letter of {self.message_id}"

"""A draft that is no more, of which a copy may still lie on the mail server."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import EmailAccount


class DraftRemoval(models.Model):
    """`id` was the draft's; its newest copy is named as in `Draft`. `due_at` is set until the
    copies are gone.

    It is remembered for a while after that: an upload that was under way when the draft went
    must not bring it back.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    account = models.ForeignKey(EmailAccount, on_delete=models.CASCADE, related_name="+")
    copy_path = models.CharField(max_length=1000, blank=True)
    copy_uid_validity = models.BigIntegerField(default=0)
    copy_uid = models.BigIntegerField(null=True)
    due_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    removed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "draft_removals"
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(due_at__isnull=False), name="draft_removal_due"
            )
        ]

    def __str__(self) -> str:
        return f"removal of {self.pk}"

"""A conversation: messages of one account that answer one another, in whatever folders."""

from __future__ import annotations

from django.db import models

from accounts.models import EmailAccount
from mailboxes.scope import MailQuerySet


class ThreadQuerySet(MailQuerySet["Thread"]):
    """Conversations."""

    def visible(self) -> ThreadQuerySet:
        """Those of which a message lies in a folder."""
        return self.filter(newest_at__isnull=False)


class Thread(models.Model):
    """`newest_at` is when its newest message that lies in a folder arrived, null without one."""

    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, related_name="threads", db_index=False
    )
    newest_at = models.DateTimeField(null=True)

    objects = ThreadQuerySet.as_manager()

    class Meta:
        db_table = "threads"
        indexes = [models.Index(fields=["account", "newest_at", "id"], name="thread_newest")]

    def __str__(self) -> str:
        return str(self.pk)

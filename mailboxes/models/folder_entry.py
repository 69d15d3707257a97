"""Where a message lies: one row a placement, with the flags that it has there."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from accounts.models import EmailAccount
from mailboxes.models.folder import Folder
from mailboxes.models.message import Message
from mailboxes.scope import MailQuerySet


class FolderEntryQuerySet(MailQuerySet["FolderEntry"]):
    """Placements."""


class FolderEntry(models.Model):
    """`uid` is the server's; negative while the folder is read anew after a change of its
    UIDVALIDITY, when the old number means nothing any more.

    A message lies in a folder at most once: a second copy there is a message of its own.
    `account` and `received_at` repeat the message's, so that a list of either needs one
    index. `lacks_body` is true until the message's body was fetched.
    """

    folder = models.ForeignKey(
        Folder, on_delete=models.CASCADE, related_name="entries", db_index=False
    )
    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="entries")
    uid = models.BigIntegerField()
    received_at = models.DateTimeField()
    is_seen = models.BooleanField(default=False)
    is_flagged = models.BooleanField(default=False)
    is_answered = models.BooleanField(default=False)
    is_draft = models.BooleanField(default=False)
    keywords = models.JSONField(default=list)
    lacks_body = models.BooleanField(default=False)

    objects = FolderEntryQuerySet.as_manager()

    class Meta:
        db_table = "folder_entries"
        constraints = [
            models.UniqueConstraint(fields=["folder", "uid"], name="entry_uid_in_folder"),
            models.UniqueConstraint(fields=["folder", "message"], name="entry_message_in_folder"),
        ]
        indexes = [
            models.Index(fields=["folder", "received_at", "message"], name="entry_newest_folder"),
            models.Index(fields=["account", "received_at", "message"], name="entry_newest_account"),
            models.Index(
                fields=["folder", "received_at", "message"],
                condition=Q(is_seen=False),
                name="entry_unread_folder",
            ),
            models.Index(
                fields=["account", "received_at", "message"],
                condition=Q(is_seen=False),
                name="entry_unread_account",
            ),
            models.Index(
                fields=["account", "received_at", "message"],
                condition=Q(is_flagged=True),
                name="entry_flagged_account",
            ),
            models.Index(
                fields=["folder", "uid"], condition=Q(lacks_body=True), name="entry_lacks_body"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.folder_id}/{self.uid}"

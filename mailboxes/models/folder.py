"""A folder of an account, and how far it has been read."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.scope import MailQuerySet

TRIES_BEFORE_PARKING = 3
PARKED_FOR = timedelta(hours=1)


class FolderRole(models.TextChoices):
    """What a folder is for (RFC 6154), in the order in which folders are read."""

    INBOX = "inbox"
    SENT = "sent"
    DRAFTS = "drafts"
    ARCHIVE = "archive"
    ALL = "all"
    TRASH = "trash"
    JUNK = "junk"


class FolderQuerySet(MailQuerySet["Folder"]):
    """Folders of accounts."""


class Folder(models.Model):
    """`uid_validity`, `uid_next`, `highest_modseq` and `server_total` are the checkpoint.

    They are what the server said when all that it held then was stored; 0 before that.
    `is_complete` says that this was so once under this UIDVALIDITY: what comes in from then
    on is new mail, and not old mail that was never looked at.
    `label` is set where the folder is one of Gmail's labels: its placements have the UIDs of
    All Mail. `total` and `unread` count what is stored. `failures` counts passes in a row in which
    the folder could not be read, `failure` says why the last time. After three it is
    parked: an ordinary pass tries it once an hour. `checked_by` is the run that last went
    through it to its end.
    """

    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, related_name="folders", db_index=False
    )
    path = models.CharField(max_length=1000)
    label = models.CharField(max_length=1000, blank=True)
    delimiter = models.CharField(max_length=4, blank=True)
    role = models.CharField(max_length=8, choices=FolderRole.choices, blank=True)
    is_selectable = models.BooleanField(default=True)
    uid_validity = models.BigIntegerField(default=0)
    uid_next = models.BigIntegerField(default=0)
    highest_modseq = models.BigIntegerField(default=0)
    server_total = models.BigIntegerField(default=0)
    is_complete = models.BooleanField(default=False)
    total = models.BigIntegerField(default=0)
    unread = models.BigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    failure = models.TextField(blank=True)
    failed_at = models.DateTimeField(null=True)
    checked_by = models.UUIDField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = FolderQuerySet.as_manager()

    class Meta:
        db_table = "folders"
        constraints = [
            models.UniqueConstraint(fields=["account", "path"], name="folder_path_in_account")
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def is_parked(self) -> bool:
        """Whether it failed so often, and so lately, that an ordinary pass leaves it out."""
        return (
            self.failures >= TRIES_BEFORE_PARKING
            and self.failed_at is not None
            and timezone.now() - self.failed_at < PARKED_FOR
        )

"""A message that is being written, kept here and in the account's Drafts folder."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Self, TypedDict

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import AccountProtocol, EmailAccount
from mailboxes.models.message import Message
from mailboxes.models.outbox_message import OutboxMessage
from mailboxes.scope import MailQuerySet

if TYPE_CHECKING:
    from accounts.caller import Caller


class Person(TypedDict):
    """Whom a draft is for; either may be empty, and the address half written."""

    name: str
    address: str


class DraftQuerySet(MailQuerySet["Draft"]):
    """Drafts of accounts that the caller may read."""

    def open(self) -> Self:
        """Those that are still written; the others wait in the outbox to become mail."""
        return self.filter(outbox=None)

    def sendable_by(self, caller: Caller) -> Self:
        """Those that the caller may change and send."""
        sendable = EmailAccount.objects.sendable_by(caller)
        return self.filter(account__in=sendable.order_by().values("pk"))


class Draft(models.Model):
    """What somebody is writing; nothing of it need be complete.

    People are JSON objects `{name, address}`, as those of a `Message`; an address may be
    half written. `version` grows with every change. `answered` and `forwarded` are the
    messages here that it is about; `in_reply_to` and `references` carry their brackets.

    The copy in the Drafts folder: `copied_version` is the newest one put there (0: none yet),
    under `copy_uid` (null where the server did not tell) of `copy_path`; `copy` is the same
    message as the sync found it; `copy_went` says that an older one was gone when it came,
    by the hand of another program. `copy_due_at` is set while the folder lacks the newest
    version, `copy_claimed_until` while somebody is about to put it there, `copy_error` says
    what kept it away.

    `conflict_with` is another draft that came of the same one, changed here and in another
    mail program at once. `outbox` is set while it waits there to be sent: it is out of
    sight, and comes back where the message is cancelled.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, related_name="drafts", db_index=False
    )
    version = models.PositiveIntegerField(default=1)
    sender = models.JSONField(default=dict)
    to = models.JSONField(default=list)
    cc = models.JSONField(default=list)
    bcc = models.JSONField(default=list)
    reply_to = models.JSONField(default=list)
    subject = models.TextField(blank=True)
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    headers = models.JSONField(default=list)
    priority = models.CharField(max_length=6, default="normal")
    in_reply_to = models.CharField(max_length=998, blank=True)
    references = models.JSONField(default=list)
    answered = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="+")
    forwarded = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="+")
    conflict_with = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, related_name="+"
    )
    outbox = models.OneToOneField(
        OutboxMessage, on_delete=models.CASCADE, null=True, related_name="draft"
    )
    copy = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="drafts")
    copied_version = models.PositiveIntegerField(default=0)
    copied_at = models.DateTimeField(null=True)
    copy_path = models.CharField(max_length=1000, blank=True)
    copy_uid_validity = models.BigIntegerField(default=0)
    copy_uid = models.BigIntegerField(null=True)
    copy_went = models.BooleanField(default=False)
    copy_due_at = models.DateTimeField(null=True)
    copy_claimed_until = models.DateTimeField(null=True)
    copy_tries = models.PositiveIntegerField(default=0)
    copy_error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = DraftQuerySet.as_manager()

    class Meta:
        db_table = "drafts"
        indexes = [
            models.Index(fields=["account", "updated_at", "id"], name="draft_of_account"),
            models.Index(
                fields=["copy_due_at"], condition=Q(copy_due_at__isnull=False), name="draft_due"
            ),
            models.Index(
                fields=["outbox", "id"], condition=Q(outbox__isnull=False), name="draft_in_outbox"
            ),
        ]

    def __str__(self) -> str:
        return f"draft {self.pk}"

    @property
    def is_copied(self) -> bool:
        """Whether the account has a Drafts folder to be kept in."""
        return self.account.protocol == AccountProtocol.IMAP

    @property
    def has_news(self) -> bool:
        """Whether it was changed here since the folder got its copy."""
        return self.version > self.copied_version

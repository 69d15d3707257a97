"""A message of an account: one row a content, wherever it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack
from uuid import UUID

from django.db import models

from accounts.models import EmailAccount
from mailboxes.models.thread import Thread
from mailboxes.scope import MailQuerySet
from mailboxes.search.excerpts import Found
from mailboxes.search.matching import How, matching_words
from mailboxes.search.query import Words


class BodyState(models.TextChoices):
    """Whether more than the header is stored."""

    PENDING = "pending"
    STORED = "stored"
    TOO_LARGE = "too_large", "too large to keep"
    UNAVAILABLE = "unavailable", "the server does not hand it over"


class MessageQuerySet(MailQuerySet["Message"]):
    """A message without a placement is out of sight."""

    def visible(self) -> MessageQuerySet:
        """Those that lie in a folder."""
        return self.filter(orphaned_at__isnull=True)

    def search(
        self, account_id: UUID, words: Sequence[Words], **how: Unpack[How]
    ) -> MessageQuerySet:
        """The account's messages with these words, newest first; see `matching_words`."""
        return matching_words(self, account_id, words, **how)


class Message(models.Model):
    """Its id stays the same when it moves.

    `sender` and the people of the other fields are JSON objects `{name, address}`;
    `sender_text` and `recipient_text` are the same as words to search. `date` is what the
    sender wrote, `received_at` the server's INTERNALDATE. `size` is in octets as the server
    counts. `header_digest` (SHA-256 of the header, cut to 128 bits) recognises a message
    before its body is fetched, `raw_digest` (SHA-256 of all of it) names it in the raw store.
    `orphaned_at` says since when it lies in no folder: it waits there for the folder it
    may have been moved to. `is_unannounced`: it is new mail of which somebody wants to be
    told as soon as its body is here.
    """

    account = models.ForeignKey(
        EmailAccount, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    thread = models.ForeignKey(
        Thread, on_delete=models.SET_NULL, related_name="messages", null=True, db_index=False
    )
    message_id = models.CharField(max_length=998, blank=True)
    in_reply_to = models.CharField(max_length=998, blank=True)
    references = models.JSONField(default=list)
    subject = models.TextField(blank=True)
    sender = models.JSONField(default=dict)
    to = models.JSONField(default=list)
    cc = models.JSONField(default=list)
    bcc = models.JSONField(default=list)
    reply_to = models.JSONField(default=list)
    sender_text = models.TextField(blank=True)
    recipient_text = models.TextField(blank=True)
    date = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    size = models.PositiveBigIntegerField()
    has_attachments = models.BooleanField(default=False)
    header_digest = models.CharField(max_length=32, blank=True)
    raw_digest = models.CharField(max_length=64, blank=True)
    body_state = models.CharField(
        max_length=11, choices=BodyState.choices, default=BodyState.PENDING
    )
    orphaned_at = models.DateTimeField(null=True)
    is_unannounced = models.BooleanField(db_default=False, default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    snippet = models.TextField(blank=True)
    text = models.TextField(blank=True)

    # How it is shown where a search found it.
    found: Found | None = None

    objects = MessageQuerySet.as_manager()

    class Meta:
        db_table = "messages"
        indexes = [
            models.Index(fields=["account", "received_at", "id"], name="message_newest"),
            models.Index(fields=["thread", "received_at", "id"], name="message_thread"),
            models.Index(fields=["header_digest"], name="message_by_header"),
            models.Index(fields=["raw_digest"], name="message_by_content"),
            models.Index(
                fields=["account", "orphaned_at"],
                condition=models.Q(orphaned_at__isnull=False),
                name="message_orphans",
            ),
        ]

    def __str__(self) -> str:
        return self.subject or "(no subject)"

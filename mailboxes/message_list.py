"""Messages of accounts or of a folder, newest first, a page at a time.

The list walks along placements, whose indexes hold arrival and message in one: a page of
a million messages costs what a page of a hundred does, unless a filter on words leaves
out most of them. A message that lies in several folders is listed once. Each account is
walked by itself, and the walks are merged, as no index has several accounts in order.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from mailboxes.models import FolderEntry, Message

# Arrival and id of a message: its place in the list.
Position = tuple[datetime, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """What a message must be like; None and "" mean anything.

    `sender`, `recipient` and `subject` are parts of names, addresses or the subject, in any
    case. `since` is included, `before` is not. A message is unread where it is unread in
    any of its folders, and flagged where it is in any.
    """

    folder_id: int | None = None
    sender: str = ""
    recipient: str = ""
    subject: str = ""
    since: datetime | None = None
    before: datetime | None = None
    unread: bool | None = None
    flagged: bool | None = None
    has_attachment: bool | None = None


def list_messages(
    account_ids: Sequence[UUID], wanted: MessageFilter, *, after: Position | None, size: int
) -> list[Message]:
    """The `size` messages that follow a position; each with its placements, without its text."""
    walks = [
        matching(FolderEntry.objects.filter(account_id=account_id), wanted, after)[:size]
        for account_id in account_ids
    ]
    positions = islice(heapq.merge(*walks, reverse=True), size)
    ids = [message_id for _, message_id in positions]
    found = with_placements(Message.objects.filter(pk__in=ids)).defer("text").in_bulk()
    return [found[pk] for pk in ids if pk in found]


def with_placements(messages: QuerySet[Message]) -> QuerySet[Message]:
    """The messages with `entries` loaded."""
    return messages.prefetch_related(Prefetch("entries", FolderEntry.objects.order_by("folder_id")))


def matching(
    entries: QuerySet[FolderEntry], wanted: MessageFilter, after: Position | None
) -> QuerySet[FolderEntry, Position]:
    """Positions of the messages among these placements, newest first, each once."""
    if wanted.folder_id is not None:
        entries = entries.filter(folder_id=wanted.folder_id)
    entries = _by_flags(_by_words(entries, wanted), wanted)
    if wanted.since is not None:
        entries = entries.filter(received_at__gte=wanted.since)
    if wanted.before is not None:
        entries = entries.filter(received_at__lt=wanted.before)
    if after is not None:
        received_at, message_id = after
        older = Q(received_at__lt=received_at) | Q(message_id__lt=message_id)
        entries = entries.filter(older, received_at__lte=received_at)
    newest = entries.order_by("-received_at", "-message_id")
    return newest.values_list("received_at", "message_id").distinct()


def _by_words(entries: QuerySet[FolderEntry], wanted: MessageFilter) -> QuerySet[FolderEntry]:
    if wanted.sender:
        entries = entries.filter(message__sender_text__icontains=wanted.sender)
    if wanted.recipient:
        entries = entries.filter(message__recipient_text__icontains=wanted.recipient)
    if wanted.subject:
        entries = entries.filter(message__subject__icontains=wanted.subject)
    if wanted.has_attachment is not None:
        entries = entries.filter(message__has_attachments=wanted.has_attachment)
    return entries


def _by_flags(entries: QuerySet[FolderEntry], wanted: MessageFilter) -> QuerySet[FolderEntry]:
    if wanted.unread is not None:
        entries = _with_any(entries, wanted, Q(is_seen=False), wanted.unread)
    if wanted.flagged is not None:
        entries = _with_any(entries, wanted, Q(is_flagged=True), wanted.flagged)
    return entries


def _with_any(
    entries: QuerySet[FolderEntry], wanted: MessageFilter, flag: Q, expected: bool
) -> QuerySet[FolderEntry]:
    """Placements of messages of which any placement has the flag, or none has."""
    if expected and wanted.folder_id is None:
        # Every placement of the account is walked, so that each may speak for itself.
        return entries.filter(flag)
    placements = FolderEntry.objects.filter(flag, message_id=OuterRef("message_id"))
    return entries.filter(Exists(placements) if expected else ~Exists(placements))

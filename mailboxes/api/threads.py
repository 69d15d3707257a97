"""`threads`: conversations across folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from mailboxes.api.accounts import readable_account
from mailboxes.api.queries import AccountQuery, NothingQuery
from mailboxes.api.shapes import MessageSerializer, PersonSerializer
from mailboxes.message_list import with_placements
from mailboxes.models import FolderEntry, FolderRole, Message, Thread
from mailhub.api.naming import CamelCaseMixin, MillisecondsField

MOST_MESSAGES = 500
MOST_PARTICIPANTS = 50
_NOT_THROWN_AWAY = ~Q(folder__role__in=(FolderRole.TRASH, FolderRole.JUNK))


class ThreadSerializer(CamelCaseMixin, serializers.Serializer[Thread]):
    """`subject` is its oldest message's, `snippet` and `newestAt` are its newest message's.

    `unreadCount` counts messages that are unread in a folder other than Trash and Junk, all
    else counts in every folder. `participants` are who wrote
    in it, 50 at most. Two conversations become one, under the older id, when a message
    arrives that ties them together.
    """

    id = serializers.CharField()
    account_id = serializers.UUIDField()
    subject = serializers.CharField()
    snippet = serializers.CharField()
    newest_at = MillisecondsField()
    participants = PersonSerializer(many=True)
    folder_ids = serializers.ListField(child=serializers.CharField())
    message_count = serializers.IntegerField()
    unread_count = serializers.IntegerField()
    is_flagged = serializers.BooleanField()
    has_attachments = serializers.BooleanField()


class WholeThreadSerializer(ThreadSerializer):
    """`messages` are the oldest first; of more than 500 the newest ones.

    `GET messages?threadId=` lists all of them.
    """

    messages = MessageSerializer(many=True)


@extend_schema_view(list=extend_schema(parameters=[AccountQuery]))
class ThreadViewSet(TenantViewSet[Thread]):
    """Conversations of the accounts that the caller may read, by RFC 8621's rule.

    Messages belong together where an id stands in both (in Message-ID, In-Reply-To or
    References) and their subjects are the same but for what replying and forwarding add.
    """

    scope = "mail"
    queryset = Thread.objects.all()
    serializer_class = ThreadSerializer
    page_key = "threads"
    page_ordering = "-newest_at"
    page_cursor_name = "nextCursor"
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[Thread]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        visible = Message.objects.visible().filter(thread_id=OuterRef("pk"))
        newest = visible.order_by("-received_at", "-pk")
        oldest = visible.order_by("received_at", "pk")
        return rows.filter(newest_at__isnull=False).annotate(
            snippet=Subquery(newest.values("snippet")[:1]),
            subject=Subquery(oldest.values("subject")[:1]),
        )

    def list(self, request: Request) -> Response:
        """Those with the newest message first, but for those that lie in Trash or Junk alone."""
        kept = FolderEntry.objects.filter(_NOT_THROWN_AWAY, message__thread_id=OuterRef("pk"))
        # A value, and no condition, is looked up for the page alone, whatever the number of rows.
        rows = self.get_queryset().annotate(kept=Subquery(kept.values("pk")[:1]))
        rows = rows.filter(kept__isnull=False)
        account_id = AccountQuery.read(request).get("account_id")
        if account_id is not None:
            rows = rows.filter(account=readable_account(self.caller, account_id))
        page = self.paginate_queryset(rows)
        assert page is not None, "every list of this API has pages"
        return self.get_paginated_response(_described(page))

    @extend_schema(responses=WholeThreadSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One conversation with its messages."""
        NothingQuery.read(request)
        thread = self.get_object()
        newest = Message.objects.visible().filter(thread=thread).order_by("-received_at", "-pk")
        messages = list(with_placements(newest).defer("text")[:MOST_MESSAGES])
        shape = MessageSerializer()
        shown = [shape.to_representation(message) for message in reversed(messages)]
        return Response({**_described([thread])[0], "messages": shown})


def _described(threads: Sequence[Any]) -> list[dict[str, Any]]:
    """The shape of `ThreadSerializer`, in the same number of queries for any number."""
    ids = [thread.pk for thread in threads]
    messages = Message.objects.visible().filter(thread_id__in=ids)
    placements = FolderEntry.objects.filter(message__thread_id__in=ids)
    counts = {
        row["thread_id"]: row
        for row in messages.values("thread_id").annotate(
            total=Count("pk"), attached=Count("pk", filter=Q(has_attachments=True))
        )
    }
    flags = {
        row["message__thread_id"]: row
        for row in placements.values("message__thread_id").annotate(
            unread=Count("message_id", filter=Q(_NOT_THROWN_AWAY, is_seen=False), distinct=True),
            flagged=Count("pk", filter=Q(is_flagged=True)),
        )
    }
    folders = _grouped(placements.values_list("message__thread_id", "folder_id").distinct())
    senders = _grouped(messages.values_list("thread_id", "sender").distinct())
    none: dict[str, Any] = {"total": 0, "attached": 0, "unread": 0, "flagged": 0}
    shape = ThreadSerializer()
    described = []
    for thread in threads:
        told = {**none, **counts.get(thread.pk, {}), **flags.get(thread.pk, {})}
        written = [sender for sender in senders[thread.pk] if sender][:MOST_PARTICIPANTS]
        described.append(
            {
                "id": str(thread.pk),
                "accountId": str(thread.account_id),
                "subject": thread.subject or "",
                "snippet": thread.snippet or "",
                "newestAt": shape.fields["newestAt"].to_representation(thread.newest_at),
                "participants": sorted(written, key=lambda one: (one["name"], one["address"])),
                "folderIds": [str(folder_id) for folder_id in sorted(folders[thread.pk])],
                "messageCount": told["total"],
                "unreadCount": told["unread"],
                "isFlagged": told["flagged"] > 0,
                "hasAttachments": told["attached"] > 0,
            }
        )
    return described


def _grouped(pairs: Any) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for name, value in pairs:
        found[name].append(value)
    return found

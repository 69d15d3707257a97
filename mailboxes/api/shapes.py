"""The mail resources as JSON. Made by hand: a page of messages is many small objects.

The serializers describe the shapes to the API's document, and are what the views answer by.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework import serializers

from mailboxes.models import Folder, FolderEntry, Message, SyncRun
from mailboxes.reading import safe_html
from mailboxes.sync.estimate import describe_progress, estimate_end
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.mail.parsing import ParsedMessage

_moment = MillisecondsField()


class PersonSerializer(serializers.Serializer[Any]):
    """A name and an address; either may be empty."""

    name = serializers.CharField()
    address = serializers.CharField()


class FolderSerializer(CamelCaseMixin, serializers.ModelSerializer[Folder]):
    """`name` is the last part of the path; `role` is "" for a folder without a special use."""

    id = serializers.CharField(read_only=True)
    account_id = serializers.UUIDField(read_only=True)
    name = serializers.SerializerMethodField()

    class Meta:
        model = Folder
        fields = (
            "id",
            "account_id",
            "path",
            "name",
            "delimiter",
            "role",
            "total",
            "unread",
            "is_selectable",
        )

    def get_name(self, folder: Folder) -> str:
        """The last part of the path."""
        return folder.path.rpartition(folder.delimiter)[2] if folder.delimiter else folder.path


class HighlightsSerializer(serializers.Serializer[Any]):
    """Where the words of a search are: `[first, end]` in characters (Unicode code points)."""

    subject = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    snippet = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))


class MessageSerializer(CamelCaseMixin, serializers.Serializer[Message]):
    """A message in a list. `isRead`: it is read in each of its folders; the other flags: in any.

    In a list with `folderId` they are those that it has in this folder.
    Where it was searched for, `snippet` is the part of its text that matches, as plain text.
    `threadId` is null for a message that belongs to no conversation.
    """

    id = serializers.CharField()
    account_id = serializers.UUIDField()
    thread_id = serializers.CharField(allow_null=True)
    folder_ids = serializers.ListField(child=serializers.CharField())
    message_id = serializers.CharField()
    in_reply_to = serializers.CharField()
    subject = serializers.CharField()
    to = PersonSerializer(many=True)
    cc = PersonSerializer(many=True)
    bcc = PersonSerializer(many=True)
    reply_to = PersonSerializer(many=True)
    date = MillisecondsField(allow_null=True)
    received_at = MillisecondsField()
    snippet = serializers.CharField()
    highlights = HighlightsSerializer()
    size = serializers.IntegerField()
    is_read = serializers.BooleanField()
    is_flagged = serializers.BooleanField()
    is_answered = serializers.BooleanField()
    is_draft = serializers.BooleanField()
    keywords = serializers.ListField(child=serializers.CharField())
    has_attachments = serializers.BooleanField()

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        return {**super().get_fields(), "from": PersonSerializer()}

    def to_representation(self, message: Message) -> dict[str, Any]:
        entries: list[FolderEntry] = list(message.entries.all())
        listed_in: int | None = self.context.get("folder_id")
        flagged = [row for row in entries if listed_in in (None, row.folder_id)]
        return {
            "id": str(message.pk),
            "accountId": str(message.account_id),
            "threadId": None if message.thread_id is None else str(message.thread_id),
            "folderIds": [str(entry.folder_id) for entry in entries],
            "messageId": message.message_id,
            "inReplyTo": message.in_reply_to,
            "subject": message.subject,
            "from": message.sender or {"name": "", "address": ""},
            "to": message.to,
            "cc": message.cc,
            "bcc": message.bcc,
            "replyTo": message.reply_to,
            "date": _milliseconds(message.date),
            "receivedAt": _milliseconds(message.received_at),
            "snippet": message.found.snippet.text if message.found else message.snippet,
            "highlights": _highlights(message),
            "size": message.size,
            "isRead": all(entry.is_seen for entry in flagged),
            "isFlagged": any(entry.is_flagged for entry in flagged),
            "isAnswered": any(entry.is_answered for entry in flagged),
            "isDraft": any(entry.is_draft for entry in flagged),
            "keywords": sorted({word for entry in flagged for word in entry.keywords}),
            "hasAttachments": message.has_attachments,
        }


class HeaderSerializer(serializers.Serializer[Any]):
    """One header field, decoded."""

    name = serializers.CharField()
    value = serializers.CharField()


class AttachmentSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """`size` is in decoded octets; `cid` is without angle brackets."""

    index = serializers.IntegerField()
    filename = serializers.CharField()
    content_type = serializers.CharField()
    size = serializers.IntegerField()
    cid = serializers.CharField()
    is_inline = serializers.BooleanField()


class WholeMessageSerializer(MessageSerializer):
    """A message with its content; `html` is sanitised, and loads nothing from elsewhere."""

    text = serializers.CharField()
    html = serializers.CharField()
    attachments = AttachmentSerializer(many=True)
    headers = HeaderSerializer(many=True)


def whole_message(message: Message, parsed: ParsedMessage, raw: bytes) -> dict[str, Any]:
    """The shape of `WholeMessageSerializer`."""
    return {
        **MessageSerializer(message).data,
        "text": parsed.text,
        "html": safe_html(parsed, raw),
        "attachments": [
            {
                "index": attachment.index,
                "filename": attachment.filename,
                "contentType": attachment.content_type,
                "size": attachment.size,
                "cid": attachment.content_id,
                "isInline": attachment.inline,
            }
            for attachment in parsed.attachments
        ],
        "headers": [{"name": name, "value": value} for name, value in parsed.headers],
    }


class SyncRequestSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """What a pass shall do; without folders it goes over all."""

    force_full_sync = serializers.BooleanField(default=False)
    folder_ids = serializers.ListField(
        child=serializers.CharField(max_length=1000),
        default=list,
        max_length=1000,
        help_text="Ids, paths or roles.",
    )


class SyncStartedSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """`queuedAgain`: a pass is under way, and another will follow it."""

    sync_id = serializers.UUIDField()
    account_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["started"])
    started_at = MillisecondsField()
    estimated_completion_at = MillisecondsField()
    progress_message = serializers.CharField()
    queued_again = serializers.BooleanField()


class SyncStatusSerializer(CamelCaseMixin, serializers.ModelSerializer[SyncRun]):
    """`error` is null, or a sentence; `errorCode` its stable word."""

    sync_id = serializers.UUIDField(source="id")
    account_id = serializers.UUIDField()
    status = serializers.CharField(source="state")
    started_at = MillisecondsField(allow_null=True)
    finished_at = MillisecondsField(allow_null=True)
    estimated_completion_at = serializers.SerializerMethodField()
    progress_percent = serializers.IntegerField(source="percent")
    progress_message = serializers.SerializerMethodField()
    queued_again = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    error_code = serializers.SerializerMethodField()

    class Meta:
        model = SyncRun
        fields = (
            "sync_id",
            "account_id",
            "status",
            "started_at",
            "finished_at",
            "estimated_completion_at",
            "folders_done",
            "folders_total",
            "messages_done",
            "messages_total",
            "messages_skipped",
            "progress_percent",
            "progress_message",
            "queued_again",
            "error",
            "error_code",
        )

    def get_estimated_completion_at(self, run: SyncRun) -> int | None:
        """Null once it has ended."""
        return _milliseconds(estimate_end(run) if run.is_active else None)

    def get_progress_message(self, run: SyncRun) -> str:
        """A sentence for a person."""
        return describe_progress(run)

    def get_queued_again(self, run: SyncRun) -> bool:
        """Whether another pass follows this one."""
        return run.again is not None and run.is_active

    def get_error(self, run: SyncRun) -> str | None:
        """Null where nothing failed."""
        return run.error or None

    def get_error_code(self, run: SyncRun) -> str | None:
        """Null where nothing failed."""
        return run.error_code or None


def _highlights(message: Message) -> dict[str, list[list[int]]]:
    found = message.found
    return {
        "subject": [list(some) for some in found.subject.ranges] if found else [],
        "snippet": [list(some) for some in found.snippet.ranges] if found else [],
    }


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else _moment.to_representation(moment)

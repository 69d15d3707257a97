"""Drafts, and what one may begin with, as JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mailboxes.api.shapes import PersonSerializer
from mailboxes.drafts.quoting import Proposal
from mailboxes.models import Draft, DraftAttachment
from mailhub.api.naming import CamelCaseMixin, MillisecondsField

_TEXTS_BY_NAME = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "string"}},
}


class DraftAttachmentSerializer(CamelCaseMixin, serializers.ModelSerializer[DraftAttachment]):
    """A file of a draft; `size` is in octets."""

    id = serializers.CharField(source="pk", read_only=True)
    cid = serializers.CharField(source="content_id", read_only=True)

    class Meta:
        model = DraftAttachment
        fields = ("id", "filename", "content_type", "size", "cid", "is_inline")


class DraftSerializer(CamelCaseMixin, serializers.ModelSerializer[Draft]):
    """`inReplyTo` is a Message-ID; `answers` and `forwardOf` are ids of messages here, or null.

    `copy`: whether the newest version lies in the account's Drafts folder (`kept`), is on its
    way there (`waiting`, with the reason in `copyError` where its server was away), or stays
    here alone (`none`: an account of POP3). `copyMessageId` is the message in that folder, once
    it was synced. `conflictWith` is the other draft where both were made of one that was changed
    here and elsewhere at once.
    """

    id = serializers.CharField(source="pk", read_only=True)
    account_id = serializers.UUIDField(read_only=True)
    to = PersonSerializer(many=True, read_only=True)
    cc = PersonSerializer(many=True, read_only=True)
    bcc = PersonSerializer(many=True, read_only=True)
    reply_to = PersonSerializer(many=True, read_only=True)
    text_body = serializers.CharField(source="text", read_only=True)
    html_body = serializers.CharField(source="html", read_only=True)
    headers = serializers.SerializerMethodField()
    in_reply_to = serializers.CharField(read_only=True)
    references = serializers.ListField(child=serializers.CharField(), read_only=True)
    answers = serializers.SerializerMethodField()
    forward_of = serializers.SerializerMethodField()
    attachments = DraftAttachmentSerializer(many=True, read_only=True)
    copy = serializers.SerializerMethodField()
    copy_error = serializers.CharField(read_only=True)
    copy_message_id = serializers.SerializerMethodField()
    conflict_with = serializers.SerializerMethodField()
    created_at = MillisecondsField(read_only=True)
    updated_at = MillisecondsField(read_only=True)

    class Meta:
        model = Draft
        fields = (
            "id",
            "account_id",
            "version",
            "to",
            "cc",
            "bcc",
            "reply_to",
            "subject",
            "text_body",
            "html_body",
            "headers",
            "priority",
            "in_reply_to",
            "references",
            "answers",
            "forward_of",
            "attachments",
            "copy",
            "copy_error",
            "copy_message_id",
            "conflict_with",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        fields = super().get_fields()
        fields["from"] = serializers.SerializerMethodField(method_name="get_sender")
        return fields

    @extend_schema_field(PersonSerializer)
    def get_sender(self, draft: Draft) -> dict[str, str]:
        """The account's own address where no other was given."""
        return draft.sender or {"name": "", "address": draft.account.email_address}

    @extend_schema_field(_TEXTS_BY_NAME)
    def get_headers(self, draft: Draft) -> dict[str, list[str]]:
        """Extra fields by name."""
        found: dict[str, list[str]] = {}
        for name, value in draft.headers:
            found.setdefault(name, []).append(value)
        return found

    def get_answers(self, draft: Draft) -> str | None:
        """The message here that it answers."""
        return _id(draft.answered_id)

    def get_forward_of(self, draft: Draft) -> str | None:
        """The message here that it passes on."""
        return _id(draft.forwarded_id)

    @extend_schema_field(serializers.ChoiceField(choices=["kept", "waiting", "none"]))
    def get_copy(self, draft: Draft) -> str:
        """Where its copy is."""
        if not draft.is_copied:
            return "none"
        return "waiting" if draft.has_news else "kept"

    def get_copy_message_id(self, draft: Draft) -> str | None:
        """The message in the Drafts folder."""
        return _id(draft.copy_id)

    def get_conflict_with(self, draft: Draft) -> str | None:
        """The other draft."""
        return _id(draft.conflict_with_id)


class ProposedFileSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """An attachment of the message, as `attachments` of a draft take it."""

    message_id = serializers.CharField()
    index = serializers.IntegerField()
    filename = serializers.CharField()
    content_type = serializers.CharField()
    cid = serializers.CharField()


class BeginningSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """The body of a `POST compose/drafts`, and of a `POST compose`, to go on from."""

    account_id = serializers.UUIDField()
    to = PersonSerializer(many=True)
    cc = PersonSerializer(many=True)
    subject = serializers.CharField()
    text_body = serializers.CharField()
    html_body = serializers.CharField()
    in_reply_to = serializers.CharField(required=False)
    forward_of = serializers.CharField(required=False)
    attachments = ProposedFileSerializer(many=True)


def proposal(proposed: Proposal, *, purpose: str) -> dict[str, Any]:
    """The shape of `BeginningSerializer`; `purpose` is `inReplyTo` or `forwardOf`."""
    message_id = str(proposed.message.pk)
    return {
        "accountId": str(proposed.message.account_id),
        "to": proposed.to,
        "cc": proposed.cc,
        "subject": proposed.subject,
        "textBody": proposed.text,
        "htmlBody": proposed.html,
        purpose: message_id,
        "attachments": [
            {
                "messageId": message_id,
                "index": each.index,
                "filename": each.filename,
                "contentType": each.content_type,
                "cid": each.content_id if each.inline else "",
            }
            for each in proposed.attachments
        ],
    }


def _id(pk: Any) -> str | None:
    return None if pk is None else str(pk)

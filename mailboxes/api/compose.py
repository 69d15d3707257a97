"""`compose`: a message from one of the caller's accounts, now or later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import CallerViewSet
from accounts.caller import Caller
from accounts.idempotency import idempotent
from accounts.models import EmailAccount
from mailboxes.api.accounts import readable_account
from mailboxes.api.compose_shapes import ComposedSerializer, composed, found_message
from mailboxes.api.draft_input import (
    AttachedFileSerializer,
    DraftChangeSerializer,
    change_as_asked,
    fresh_files,
)
from mailboxes.api.mail_options import AddressField, AddressListField, HeadersField
from mailboxes.api.message_changes import IdField
from mailboxes.api.queries import NothingQuery
from mailboxes.composing import refuse_reader, send_from_account
from mailboxes.drafts.files import NewFile
from mailboxes.drafts.sending import send_draft
from mailboxes.models import Draft, Message
from mailboxes.operations.composing import MailOptions
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput, NotFound


class ComposeSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """Without `from` it is from the account's own address.

    `inReplyTo` is the id of a message here, or the Message-ID of any; `forwardOf` the id of one.
    A `sendAt` that has passed means now.
    """

    account_id = serializers.UUIDField()
    to = AddressListField(default=list)
    cc = AddressListField(default=list)
    bcc = AddressListField(default=list)
    reply_to = AddressListField(default=list)
    subject = serializers.CharField(
        max_length=10_000, default="", allow_blank=True, trim_whitespace=False
    )
    text_body = serializers.CharField(default="", allow_blank=True, trim_whitespace=False)
    html_body = serializers.CharField(default="", allow_blank=True, trim_whitespace=False)
    attachments = AttachedFileSerializer(many=True, default=list)
    headers = HeadersField(default=list)
    priority = serializers.ChoiceField(choices=["high", "normal", "low"], default="normal")
    in_reply_to = serializers.CharField(max_length=998, default="", allow_blank=True)
    forward_of = IdField(required=False, allow_null=True)
    send_at = MillisecondsField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        return {**super().get_fields(), "from": AddressField(required=False, source="sender")}


class DraftToSendSerializer(DraftChangeSerializer):
    """A draft, what of it is otherwise, and when it is sent."""

    draft_id = serializers.UUIDField()
    account_id = serializers.UUIDField(required=False)
    send_at = MillisecondsField(required=False, allow_null=True)


_EITHER = PolymorphicProxySerializer(
    component_name="ComposeEither",
    serializers=[ComposeSerializer, DraftToSendSerializer],
    resource_type_field_name=None,
)


class ComposeViewSet(CallerViewSet):
    """Messages from accounts that the caller may send from."""

    scope = "mail"

    @extend_schema(request=_EITHER, responses={202: ComposedSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Sends one message, or schedules it; a copy goes to the account's Sent folder.

        With `draftId` it is that draft which is sent; what is given besides changes it first.
        """
        NothingQuery.read(request)
        if isinstance(request.data, dict) and "draftId" in request.data:
            return self._send_draft(request)
        asked = ComposeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        account = sendable_account(self.caller, values["account_id"])
        files = fresh_files(self.caller, values["attachments"])
        answered, in_reply_to = _answered(self.caller, values["in_reply_to"])
        forwarded = values.get("forward_of")
        message = send_from_account(
            self.caller,
            account,
            _options(values, files, in_reply_to),
            answered=answered,
            forwarded=forwarded and found_message(self.caller, forwarded, field="forwardOf"),
            send_at=values.get("send_at"),
        )
        return Response(composed(message), status=202)

    def _send_draft(self, request: Request) -> Response:
        """What is given besides is changed first, as PUT does."""
        asked = DraftToSendSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        rows = Draft.objects.for_caller(self.caller).open().select_related("account")
        draft = rows.filter(pk=values["draft_id"]).first()
        if draft is None:
            raise NotFound("There is no such draft.")
        if values.get("account_id", draft.account_id) != draft.account_id:
            raise InvalidInput.field("accountId", "The draft is of another account.")
        with transaction.atomic():
            draft = change_as_asked(self.caller, draft, values)
            message = send_draft(self.caller, draft, send_at=values.get("send_at"))
        return Response(composed(message), status=202)


def sendable_account(caller: Caller, account_id: Any) -> EmailAccount:
    """Raises NotFound for a foreign account, NotAllowed for one that the caller only reads."""
    account = readable_account(caller, account_id)
    refuse_reader(caller, account)
    return account


def _options(values: dict[str, Any], files: Sequence[NewFile], in_reply_to: str) -> MailOptions:
    names = ("to", "cc", "bcc", "reply_to", "subject", "headers", "priority")
    return MailOptions(
        sender=values.get("sender"),
        text=values["text_body"],
        html=values["html_body"],
        attachments=[file.read_whole() for file in files],
        in_reply_to=in_reply_to,
        references=[in_reply_to] if in_reply_to else [],
        **{name: values[name] for name in names},
    )


def _answered(caller: Caller, given: str) -> tuple[Message | None, str]:
    """The message here that is answered, or the Message-ID of one that is not."""
    if not given.isdecimal():
        return None, given
    return found_message(caller, int(given), field="inReplyTo"), ""

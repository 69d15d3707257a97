"""`compose/drafts`: messages that are being written, here and in the account's Drafts folder."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import CallerViewSet, TenantViewSet
from accounts.idempotency import idempotent
from mailboxes.api.accounts import readable_account
from mailboxes.api.compose_shapes import ComposedSerializer, composed, found_message
from mailboxes.api.draft_input import (
    AttachedFileSerializer,
    DraftChangeSerializer,
    NewDraftSerializer,
    SendDraftSerializer,
    change_as_asked,
    draft_fields,
    fresh_files,
)
from mailboxes.api.draft_shapes import BeginningSerializer, DraftSerializer, proposal
from mailboxes.api.messages import AnythingGoes
from mailboxes.api.queries import AccountQuery, NothingQuery, QuerySerializer
from mailboxes.drafts.files import NewFile, file_stretches, new_file
from mailboxes.drafts.quoting import propose_forward, propose_reply
from mailboxes.drafts.saving import attach, detach, discard, new_draft
from mailboxes.drafts.sending import send_draft
from mailboxes.models import Draft
from mailboxes.serving import streamed_octets
from mailhub.api.naming import CamelCaseMixin
from mailhub.api.parsing import StrictJSONParser
from mailhub.api.strict import StrictMixin
from mailhub.errors import NotFound

_NUMBER = OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)


class UploadSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Any]):
    """One file as multipart. Its name and type are those of the part, unless said otherwise."""

    file = serializers.FileField(allow_empty_file=True)
    filename = serializers.CharField(max_length=255, required=False, allow_blank=True)
    content_type = serializers.CharField(max_length=255, required=False, allow_blank=True)
    cid = serializers.CharField(max_length=200, default="", allow_blank=True)


class VersionQuery(QuerySerializer):
    """The version of the draft that the client has seen."""

    version = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


class ProposalQuery(QuerySerializer):
    """Which message."""

    message_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class ReplyQuery(ProposalQuery):
    """`everyone`: to all whom it went to."""

    everyone = serializers.BooleanField(required=False, default=False)


@extend_schema_view(list=extend_schema(parameters=[AccountQuery]))
class DraftViewSet(mixins.ListModelMixin, TenantViewSet[Draft]):
    """Drafts of the accounts that the caller may read, those changed last first."""

    scope = "mail"
    queryset = Draft.objects.all()
    serializer_class = DraftSerializer
    page_key = "drafts"
    page_ordering = "-updated_at"
    page_cursor_name = "nextCursor"
    lookup_value_regex = "[0-9a-fA-F-]{32,36}"

    def get_queryset(self) -> QuerySet[Draft]:
        rows = super().get_queryset().filter(outbox=None)
        rows = rows.select_related("account").prefetch_related("attachments")
        if self.action != "list" or getattr(self, "swagger_fake_view", False):
            return rows
        values = AccountQuery.read(self.request)
        if "account_id" in values:
            rows = rows.filter(account=readable_account(self.caller, values["account_id"]))
        return rows

    @extend_schema(request=NewDraftSerializer, responses={201: DraftSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Begins a draft: saved here at once, and in the account's Drafts folder soon after."""
        NothingQuery.read(request)
        asked = NewDraftSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        account = readable_account(self.caller, values["account_id"])
        files = fresh_files(self.caller, values.get("attachments", ()))
        fields = draft_fields(self.caller, values)
        return self._answer(new_draft(self.caller, account, fields, files=files), status=201)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One draft."""
        NothingQuery.read(request)
        return self._answer(self.get_object())

    @extend_schema(request=DraftChangeSerializer, responses=DraftSerializer)
    def update(self, request: Request, pk: str) -> Response:
        """Changes the fields that are given."""
        NothingQuery.read(request)
        asked = DraftChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._answer(change_as_asked(self.caller, self.get_object(), asked.validated_data))

    @extend_schema(request=DraftChangeSerializer, responses=DraftSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """The same as PUT."""
        return self.update(request, pk)

    @extend_schema(parameters=[VersionQuery], responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Throws it away, here and in the account's Drafts folder."""
        version = VersionQuery.read(request).get("version")
        discard(self.caller, self.get_object(), version=version)
        return Response(status=204)

    @extend_schema(request=SendDraftSerializer, responses={202: ComposedSerializer})
    @action(detail=True, methods=["post"])
    @idempotent()
    def send(self, request: Request, pk: str) -> Response:
        """Sends it, now or at `sendAt`. It is a draft again where the message is cancelled."""
        NothingQuery.read(request)
        asked = SendDraftSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        message = send_draft(self.caller, self.get_object(), **asked.validated_data)
        return Response(composed(message), status=202)

    @extend_schema(
        parameters=[VersionQuery],
        request={
            "multipart/form-data": UploadSerializer,
            "application/json": AttachedFileSerializer,
        },
        responses={201: DraftSerializer},
    )
    @action(
        detail=True,
        methods=["post"],
        url_path="attachments",
        parser_classes=[MultiPartParser, StrictJSONParser],
    )
    @idempotent()
    def attach(self, request: Request, pk: str) -> Response:
        """Adds a file: uploaded as multipart, as base64, or from a message here."""
        version = VersionQuery.read(request).get("version")
        draft = self.get_object()
        attach(self.caller, draft, self._given_file(request), version=version)
        return self._answer(self.get_object(), status=201)

    @extend_schema(
        parameters=[_NUMBER],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        url_path="attachments/(?P<number>[0-9]{1,18})",
        content_negotiation_class=AnythingGoes,
    )
    def attachment(self, request: Request, pk: str, number: str) -> StreamingHttpResponse:
        """The octets of a file, by its id."""
        NothingQuery.read(request)
        row = self.get_object().attachments.filter(pk=int(number)).first()
        if row is None:
            raise NotFound("The draft has no such attachment.")
        return streamed_octets(file_stretches(row), row.size, row.content_type, row.filename)

    @extend_schema(parameters=[_NUMBER, VersionQuery], responses={200: DraftSerializer})
    @attachment.mapping.delete
    def detach(self, request: Request, pk: str, number: str) -> Response:
        """Takes a file away from the draft."""
        version = VersionQuery.read(request).get("version")
        detach(self.caller, self.get_object(), int(number), version=version)
        return self._answer(self.get_object())

    def _given_file(self, request: Request) -> NewFile:
        if not request.FILES:
            asked = AttachedFileSerializer(data=request.data)
            asked.is_valid(raise_exception=True)
            [given] = fresh_files(self.caller, [asked.validated_data])
            return given
        upload = UploadSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        values = upload.validated_data
        file = values["file"]
        return new_file(
            values.get("filename", file.name),
            values.get("content_type", file.content_type or ""),
            file.chunks(),
            content_id=values["cid"],
        )

    def _answer(self, draft: Draft, status: int = 200) -> Response:
        return Response(DraftSerializer(draft).data, status=status)


class ProposalViewSet(CallerViewSet):
    """What an answer to a message here, or its forward, begins with."""

    scope = "mail"

    @extend_schema(parameters=[ReplyQuery], responses=BeginningSerializer)
    def reply(self, request: Request) -> Response:
        """Recipients, subject and quoted text of a reply: the body of a new draft."""
        values = ReplyQuery.read(request)
        message = found_message(self.caller, values["message_id"])
        proposed = propose_reply(message, everyone=values["everyone"])
        return Response(proposal(proposed, purpose="inReplyTo"))

    @extend_schema(parameters=[ProposalQuery], responses=BeginningSerializer)
    def forward(self, request: Request) -> Response:
        """Subject, quoted text and attachments of a forward: the body of a new draft."""
        message = found_message(self.caller, ProposalQuery.read(request)["message_id"])
        return Response(proposal(propose_forward(message), purpose="forwardOf"))

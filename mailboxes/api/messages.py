"""`messages`: lists, one message, its octets, attachments and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from accounts.models import EmailAccount
from mailboxes.api.accounts import readable_account
from mailboxes.api.message_changes import (
    BatchOutcomeSerializer,
    BatchSerializer,
    DeletionQuery,
    MessageChangeSerializer,
    change_many,
    change_one,
)
from mailboxes.api.queries import (
    HtmlQuery,
    MessageQuery,
    NothingQuery,
    cursor_parts,
    message_filter,
    ranked_cursor_parts,
    read_position,
    read_ranked_position,
)
from mailboxes.api.shapes import MessageSerializer, WholeMessageSerializer, whole_message
from mailboxes.message_filter import MessageFilter
from mailboxes.message_list import list_messages, with_placements
from mailboxes.models import Message
from mailboxes.reading import raw_message
from mailboxes.relevance_list import list_by_relevance
from mailboxes.serving import attached_octets, framed_page, whole_octets
from mailhub.api.pagination import read_limit, write_cursor
from mailhub.errors import NotFound
from mailhub.mail.parsing import parse_message


class AnythingGoes(BaseContentNegotiation):
    """For answers that are not JSON: whatever the client accepts, it is given what there is."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        return renderers[0], renderers[0].media_type

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]


class MessageViewSet(TenantViewSet[Message]):
    """Messages of the accounts that the caller may read."""

    scope = "mail"
    queryset = Message.objects.all()
    serializer_class = MessageSerializer
    page_key = "messages"
    page_cursor_name = "nextCursor"
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[Message]:
        rows = super().get_queryset()
        return with_placements(rows.filter(orphaned_at__isnull=True)).defer("text")

    @extend_schema(parameters=[MessageQuery])
    def list(self, request: Request) -> Response:
        """Newest first, or the best match of `q` first. Times are milliseconds or ISO 8601.

        `since` is included.
        """
        values = MessageQuery.read(request)
        wanted = message_filter(values)
        limit = read_limit(request.query_params.get("limit"))
        cursor = request.query_params.get("cursor")
        read_page = _by_relevance if values["sort"] == "relevance" else _by_date
        accounts = self._accounts(values.get("account_id"), wanted)
        page, following = read_page(accounts, wanted, cursor, limit)
        shape = MessageSerializer(context={"folder_id": wanted.folder_id})
        return Response(
            {
                "messages": [shape.to_representation(message) for message in page],
                "nextCursor": following,
            }
        )

    @extend_schema(responses=WholeMessageSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One message with its content."""
        NothingQuery.read(request)
        message = self.get_object()
        raw = raw_message(message)
        return Response(whole_message(message, parse_message(raw), raw))

    @extend_schema(request=MessageChangeSerializer, responses=MessageSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Read or unread, flagged or not, in another folder; on the mail server first.

        The id stays the same. 409 `several_folders` where it shall move, lies in several
        folders, and `fromFolderId` does not say which one it leaves. Delegates change
        nothing: 403 `not_owner`.
        """
        NothingQuery.read(request)
        message = self.get_object()
        asked = MessageChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        change_one(self.caller, message, asked.validated_data)
        return Response(MessageSerializer().to_representation(self.get_object()))

    @extend_schema(parameters=[DeletionQuery], responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """To Trash; from Trash, or with `permanent=true`, for good. On the mail server first.

        So the same call once more deletes for good. As for PATCH, `fromFolderId` is needed
        where the message lies in several folders, and only the account's owner may. Of a
        message that its folder on the server holds twice one copy goes: the next sync shows
        the other, under the same id.
        """
        values = DeletionQuery.read(request)
        change_one(self.caller, self.get_object(), {**values, "delete": True})
        return Response(status=204)

    @extend_schema(request=BatchSerializer, responses=BatchOutcomeSerializer)
    @action(detail=False, methods=["post"])
    @idempotent(talks_to_servers=True)
    def batch(self, request: Request) -> Response:
        """One change to up to 500 messages, over one connection an account.

        Each message has a result of its own. An error that kept all of them from being
        done is answered as an error.
        """
        NothingQuery.read(request)
        asked = BatchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return Response({"results": change_many(self.caller, asked.validated_data)})

    @extend_schema(responses={(200, "message/rfc822"): OpenApiTypes.BINARY})
    @action(detail=True, content_negotiation_class=AnythingGoes)
    def raw(self, request: Request, pk: str) -> HttpResponseBase:
        """The message as its server holds it."""
        NothingQuery.read(request)
        return whole_octets(self.get_object())

    @extend_schema(
        parameters=[OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        url_path="attachments/(?P<number>[0-9]{1,6})",
        content_negotiation_class=AnythingGoes,
    )
    def attachment(self, request: Request, pk: str, number: str) -> HttpResponseBase:
        """The decoded octets of an attachment, by its index."""
        NothingQuery.read(request)
        return attached_octets(self.get_object(), int(number))

    @extend_schema(parameters=[HtmlQuery], responses={(200, "text/html"): OpenApiTypes.STR})
    @action(detail=True, content_negotiation_class=AnythingGoes)
    def html(self, request: Request, pk: str) -> HttpResponse:
        """A page to be shown in a frame; `remote=true` lets images load from elsewhere."""
        remote: bool = HtmlQuery.read(request)["remote"]
        return framed_page(self.get_object(), remote_content=remote)

    def _accounts(self, account_id: UUID | None, wanted: MessageFilter) -> Sequence[UUID]:
        """Which accounts to list; a folder or a conversation names its own. Raises NotFound."""
        accounts = EmailAccount.objects.for_caller(self.caller)
        if account_id is not None:
            account = readable_account(self.caller, account_id)
            if wanted.folder_id is None and wanted.thread_id is None:
                return [account.pk]
            accounts = accounts.filter(pk=account.pk)
        if wanted.folder_id is not None:
            accounts = accounts.filter(folders=wanted.folder_id)
            if not accounts.exists():
                raise NotFound("There is no such folder.")
        if wanted.thread_id is not None:
            accounts = accounts.filter(threads=wanted.thread_id)
            if not accounts.exists():
                raise NotFound("There is no such conversation.")
        return list(accounts.values_list("pk", flat=True))


def _by_date(
    accounts: Sequence[UUID], wanted: MessageFilter, cursor: str | None, limit: int
) -> tuple[list[Message], str | None]:
    """A page, and the cursor of the next."""
    found = list_messages(accounts, wanted, after=read_position(cursor), size=limit + 1)
    page = found[:limit]
    if len(found) <= limit:
        return page, None
    return page, write_cursor(*cursor_parts((page[-1].received_at, page[-1].pk)))


def _by_relevance(
    accounts: Sequence[UUID], wanted: MessageFilter, cursor: str | None, limit: int
) -> tuple[list[Message], str | None]:
    after = read_ranked_position(cursor)
    page, end = list_by_relevance(accounts, wanted, after=after, size=limit)
    return page, None if end is None else write_cursor(*ranked_cursor_parts(end))

"""`messages`: lists, one message, its octets, attachments and HTML."""

from __future__ import annotations

import html as html_escapes
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.http import content_disposition_header
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
    read_position,
)
from mailboxes.api.shapes import MessageSerializer, WholeMessageSerializer, whole_message
from mailboxes.message_list import MessageFilter, list_messages, with_placements
from mailboxes.models import Message
from mailboxes.reading import raw_message, safe_html
from mailhub.api.pagination import read_limit, write_cursor
from mailhub.errors import NotFound
from mailhub.mail.parsing import attachment_content, parse_message

# Nothing in a stranger's octets may act in the name of this site.
_ALONE = "default-src 'none'; sandbox"
_PAGE = (
    "default-src 'none'; img-src data: {remote}; style-src 'unsafe-inline'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


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

    @extend_schema(
        parameters=[
            MessageQuery,
            OpenApiParameter("from", OpenApiTypes.STR),
        ]
    )
    def list(self, request: Request) -> Response:
        """Newest first. Times are milliseconds or ISO 8601; `since` is included."""
        values = MessageQuery.read(request)
        wanted = message_filter(values)
        limit = read_limit(request.query_params.get("limit"))
        after = read_position(request.query_params.get("cursor"))
        accounts = self._accounts(values.get("account_id"), wanted)
        found = list_messages(accounts, wanted, after=after, size=limit + 1)
        page = found[:limit]
        shape, following = MessageSerializer(), None
        if len(found) > limit:
            following = write_cursor(*cursor_parts((page[-1].received_at, page[-1].pk)))
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
        where the message lies in several folders, and only the account's owner may.
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
    def raw(self, request: Request, pk: str) -> HttpResponse:
        """The message as its server holds it."""
        NothingQuery.read(request)
        message = self.get_object()
        return _download(raw_message(message), "message/rfc822", f"message-{message.pk}.eml")

    @extend_schema(
        parameters=[OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    @action(
        detail=True,
        url_path="attachments/(?P<number>[0-9]{1,6})",
        content_negotiation_class=AnythingGoes,
    )
    def attachment(self, request: Request, pk: str, number: str) -> HttpResponse:
        """The decoded octets of an attachment, by its index."""
        NothingQuery.read(request)
        raw = raw_message(self.get_object())
        try:
            content = attachment_content(raw, int(number))
        except IndexError as error:
            raise NotFound("The message has no such attachment.") from error
        described = parse_message(raw).attachments[int(number)]
        return _download(content, described.content_type, described.filename)

    @extend_schema(parameters=[HtmlQuery], responses={(200, "text/html"): OpenApiTypes.STR})
    @action(detail=True, content_negotiation_class=AnythingGoes)
    def html(self, request: Request, pk: str) -> HttpResponse:
        """A page to be shown in a frame; `remote=true` lets images load from elsewhere."""
        remote: bool = HtmlQuery.read(request)["remote"]
        raw = raw_message(self.get_object())
        parsed = parse_message(raw)
        body = safe_html(parsed, raw, remote_content=remote)
        body = body or f"<pre>{html_escapes.escape(parsed.text)}</pre>"
        response = HttpResponse(
            f'<!doctype html><html><head><meta charset="utf-8"></head><body>{body}</body></html>'
        )
        sources = "https: http:" if remote else ""
        response["Content-Security-Policy"] = _PAGE.format(remote=sources)
        response["Referrer-Policy"] = "no-referrer"
        response["X-Frame-Options"] = "SAMEORIGIN"
        return _kept_private(response)

    def _accounts(self, account_id: UUID | None, wanted: MessageFilter) -> Sequence[UUID]:
        """Which accounts to list; a folder or a conversation names its own. Raises NotFound."""
        accounts = EmailAccount.objects.for_caller(self.caller)
        if account_id is not None:
            accounts = accounts.filter(pk=readable_account(self.caller, account_id).pk)
        if wanted.folder_id is not None:
            accounts = accounts.filter(folders=wanted.folder_id)
            if not accounts.exists():
                raise NotFound("There is no such folder.")
        if wanted.thread_id is not None:
            accounts = accounts.filter(threads=wanted.thread_id)
            if not accounts.exists():
                raise NotFound("There is no such conversation.")
        return list(accounts.values_list("pk", flat=True))


def _download(content: bytes, content_type: str, filename: str) -> HttpResponse:
    response = HttpResponse(content, content_type=content_type)
    disposition = content_disposition_header(as_attachment=True, filename=filename)
    response["Content-Disposition"] = disposition or "attachment"
    response["Content-Security-Policy"] = _ALONE
    return _kept_private(response)


def _kept_private(response: HttpResponse) -> HttpResponse:
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response

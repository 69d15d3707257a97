"""`outbox`, `email-log`, `dead-letters`: what became of each message, and what a person may do."""

from __future__ import annotations

from typing import TypeVar, cast

from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from mailboxes.api.accounts import readable_account
from mailboxes.api.draft_shapes import DraftSerializer
from mailboxes.api.outbox_shapes import (
    DeadLetterSerializer,
    EmailLogSerializer,
    OutboxDetailSerializer,
    OutboxMessageSerializer,
    OutboxQuery,
    SendAgainSerializer,
)
from mailboxes.api.queries import NothingQuery
from mailboxes.drafts.sending import take_back
from mailboxes.models import DeadLetter, OutboxMessage
from mailboxes.models.outbox_message import OutboxMessageQuerySet
from mailboxes.outbox.deciding import cancel, drop_dead_letter, mark_sent, retry
from mailhub.errors import NotAllowed

Row = TypeVar("Row", bound=Model)


class SentMessages(TenantViewSet[OutboxMessage]):
    """Messages that the caller may see, newest first."""

    scope = "mail"
    queryset = OutboxMessage.objects.all()
    serializer_class = OutboxMessageSerializer
    page_cursor_name = "nextCursor"

    def get_queryset(self) -> QuerySet[OutboxMessage]:
        queryset = cast(OutboxMessageQuerySet, super().get_queryset())
        if self.action != "list" or getattr(self, "swagger_fake_view", False):
            return queryset
        values = OutboxQuery.read(self.request)
        if "account_id" in values:
            account = readable_account(self.caller, values["account_id"])
            queryset = queryset.filter(account=account)
        if "address" in values:
            queryset = queryset.to_or_from(values["address"])
        if "message_id" in values:
            queryset = queryset.with_message_id(values["message_id"])
        plain = {"state": "status", "created_at__gte": "since", "created_at__lt": "before"}
        given = {column: values[name] for column, name in plain.items() if name in values}
        return queryset.filter(**given)


@extend_schema_view(list=extend_schema(parameters=[OutboxQuery]))
class OutboxViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, SentMessages):
    """Each message that was asked for, whatever became of it."""

    page_key = "outbox"
    lookup_value_regex = "[0-9]{1,18}"

    @extend_schema(responses=OutboxDetailSerializer)
    def retrieve(self, request: Request, *args: object, **kwargs: object) -> Response:
        """One message with every try."""
        return Response(OutboxDetailSerializer(self.get_object()).data)

    @extend_schema(responses={200: OutboxDetailSerializer})
    def destroy(self, request: Request, pk: str) -> Response:
        """Cancels it, until the moment at which its first octet leaves; then 409."""
        message = self._to_decide_about()
        cancel(message)
        return Response(OutboxDetailSerializer(message).data)

    @extend_schema(request=SendAgainSerializer, responses={202: OutboxDetailSerializer})
    @action(detail=True, methods=["post"])
    @idempotent()
    def retry(self, request: Request, pk: str) -> Response:
        """Has it sent again to all whom no server took it for, or whom it came back from.

        Also one that is sent, where some were refused or given up: it goes to them alone.
        """
        NothingQuery.read(request)
        asked = SendAgainSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        message = self._to_decide_about()
        retry(message, may_duplicate="confirm" in asked.validated_data)
        return Response(OutboxDetailSerializer(message).data, status=202)

    @extend_schema(request=None, responses={201: DraftSerializer})
    @action(detail=True, methods=["post"])
    @idempotent()
    def draft(self, request: Request, pk: str) -> Response:
        """Takes a message back that did not go out: it is a draft again.

        One that waits is cancelled first. It is not sent from the outbox any more.
        """
        NothingQuery.read(request)
        draft = take_back(self.caller, self._to_decide_about())
        return Response(DraftSerializer(draft).data, status=201)

    @extend_schema(request=None, responses={200: OutboxDetailSerializer})
    @action(detail=True, methods=["post"], url_path="mark-sent")
    @idempotent()
    def mark_sent(self, request: Request, pk: str) -> Response:
        """Counts an uncertain message as sent: somebody has asked, and it is there."""
        NothingQuery.read(request)
        message = self._to_decide_about()
        mark_sent(message, by=self.caller.user.get_username())
        return Response(OutboxDetailSerializer(message).data)

    def _to_decide_about(self) -> OutboxMessage:
        message = self.get_object()
        refuse_reader(self, message)
        return message


@extend_schema_view(list=extend_schema(parameters=[OutboxQuery]))
class EmailLogViewSet(mixins.ListModelMixin, SentMessages):
    """Every message with its outcome."""

    page_key = "emailLog"
    serializer_class = EmailLogSerializer


class DeadLetterViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[DeadLetter]
):
    """Messages that nobody got: refused for good, or given up after all tries.

    One that somebody got is sent; whom it did not reach stands in its `rejected`.
    """

    scope = "mail"
    queryset = DeadLetter.objects.select_related("message")
    serializer_class = DeadLetterSerializer
    page_key = "deadLetters"
    page_cursor_name = "nextCursor"
    lookup_value_regex = "[0-9]{1,18}"

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Nothing more shall be done about it; the log keeps what became of the message."""
        drop_dead_letter(self._to_decide_about())
        return Response(status=204)

    @extend_schema(request=None, responses={202: OutboxDetailSerializer})
    @action(detail=True, methods=["post"])
    @idempotent()
    def requeue(self, request: Request, pk: str) -> Response:
        """Has the message sent again."""
        NothingQuery.read(request)
        message = self._to_decide_about().message
        retry(message)
        return Response(OutboxDetailSerializer(message).data, status=202)

    def _to_decide_about(self) -> DeadLetter:
        letter = self.get_object()
        refuse_reader(self, letter.message)
        return letter


def refuse_reader(view: TenantViewSet[Row], message: OutboxMessage) -> None:
    """Raises NotAllowed for a delegate who may only read the account."""
    if not OutboxMessage.objects.sendable_by(view.caller).filter(pk=message.pk).exists():
        raise NotAllowed("You may read this account, not send from it.", code="may_not_send")

"""The stateless operations: mail servers reached with credentials that travel with the call."""

from __future__ import annotations

from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import CallerViewSet
from accounts.idempotency import idempotent
from mailboxes.api.operation_shapes import (
    EmailPageSerializer,
    EmptiedSerializer,
    EmptyTrashSerializer,
    MovedSerializer,
    MoveToTrashSerializer,
    OperationSerializer,
    RetrieveEmailsSerializer,
    SavedSerializer,
    SaveToDraftSerializer,
    SendEmailSerializer,
    SentSerializer,
    page_answer,
    renewed_login,
)
from mailboxes.api.outbox_shapes import QueuedSerializer
from mailboxes.api.queries import NothingQuery
from mailboxes.models import OutboxState
from mailboxes.operations.access import ServerAccess
from mailboxes.operations.composing import compose, draft_octets, sent_octets
from mailboxes.operations.filing import empty_trash, move_to_trash, save_to_draft
from mailboxes.operations.retrieving import retrieve_emails
from mailboxes.operations.sending import send_email
from mailboxes.outbox.default_sender import await_first_try, refuse_failed, send_by_default

Asked = TypeVar("Asked", bound=OperationSerializer)


def _acts_at_once(request: Request) -> bool:
    """Whether a server is spoken to, or waited for, before the answer."""
    body = request.data if isinstance(request.data, dict) else {}
    return body.get("smtpCredentials") is not None or body.get("wait") not in (None, False)


class OperationViewSet(CallerViewSet):
    """One action an operation. An answer that holds new tokens is kept by no cache."""

    scope = "mail"
    reading_actions = ("retrieve_emails",)
    access: ServerAccess | None = None

    @extend_schema(
        request=SendEmailSerializer, responses={200: SentSerializer, 202: QueuedSerializer}
    )
    @idempotent(talks_to_servers=_acts_at_once, secret_fields=("auth",))
    def send_email(self, request: Request) -> Response:
        """Sends one message and answers with the server's words, or promises to send it.

        Without smtpCredentials it goes by the default sender: it is queued, tried again
        where that is of use, and followed at outbox/{id}.
        """
        asked = self._asked(request, SendEmailSerializer)
        if asked.get("smtp_credentials") is None:
            return self._send_by_default(asked)
        access = self._access(asked)
        message = compose(asked["mail_options"], username=asked["smtp_credentials"].username)
        content = sent_octets(message)
        with access.transport() as transport:
            sent = send_email(transport, message, content)
        return self._answer(
            messageId=sent.message_id,
            accepted=sent.accepted,
            rejected=sent.rejected,
            response=access.blot(sent.response),
        )

    def _send_by_default(self, asked: dict[str, Any]) -> Response:
        message = send_by_default(self.caller, asked["mail_options"])
        if asked["wait"]:
            await_first_try(message)
        if message.state == OutboxState.SENT:
            return self._answer(
                messageId=message.message_id,
                accepted=message.accepted,
                rejected=list(message.refused),
                response=message.reply,
            )
        refuse_failed(message)
        queued = {"status": "queued", "id": message.pk, "message_id": message.message_id}
        return Response(QueuedSerializer(queued).data, status=202)

    @extend_schema(request=RetrieveEmailsSerializer, responses=EmailPageSerializer)
    def retrieve_emails(self, request: Request) -> Response:
        """One page of a folder, newest first. Marks nothing as read."""
        NothingQuery.read(request)
        asked = RetrieveEmailsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        with self._access(asked.validated_data).mailbox() as store:
            page = retrieve_emails(store, asked.page_request())
        return self._answer(**page_answer(page))

    @extend_schema(request=SaveToDraftSerializer, responses=SavedSerializer)
    @idempotent(talks_to_servers=True, secret_fields=("auth",))
    def save_to_draft(self, request: Request) -> Response:
        """Adds one message to the Drafts folder, which is made where it is missing."""
        asked = self._asked(request, SaveToDraftSerializer)
        message = compose(asked["mail_options"], username=asked["smtp_credentials"].username)
        content = draft_octets(message)
        with self._access(asked).mailbox() as store:
            saved = save_to_draft(store, content, message.message_id)
        return self._answer(path=saved.path, uid=saved.uid)

    @extend_schema(request=MoveToTrashSerializer, responses=MovedSerializer)
    @idempotent(talks_to_servers=True, secret_fields=("auth",))
    def move_to_trash(self, request: Request) -> Response:
        """Moves one message to the Trash folder, which is made where it is missing."""
        asked = self._asked(request, MoveToTrashSerializer)
        with self._access(asked).mailbox() as store:
            moved = move_to_trash(store, asked["uid"], asked["path"])
        return self._answer(
            **{"uid": moved.uid, "from": moved.source, "path": moved.path, "newUid": moved.new_uid}
        )

    @extend_schema(request=EmptyTrashSerializer, responses=EmptiedSerializer)
    @idempotent(talks_to_servers=True, secret_fields=("auth",))
    def empty_trash(self, request: Request) -> Response:
        """Deletes one message in Trash for good, or all of them, and no others."""
        asked = self._asked(request, EmptyTrashSerializer)
        with self._access(asked).mailbox() as store:
            deleted = empty_trash(store, asked.get("uid"))
        return self._answer(deleted=deleted)

    def handle_exception(self, exc: Exception) -> Response:
        """New tokens are handed back with an error too: the old ones may hold no longer."""
        response = super().handle_exception(exc)
        if self.access is not None and self.access.renewal is not None:
            response.data["details"]["auth"] = renewed_login(self.access.renewal)
            response["Cache-Control"] = "no-store"
        return response

    def _asked(self, request: Request, serializer: type[Asked]) -> dict[str, Any]:
        NothingQuery.read(request)
        asked: serializers.BaseSerializer[Any] = serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values: dict[str, Any] = asked.validated_data
        return values

    def _access(self, asked: dict[str, Any]) -> ServerAccess:
        self.access = ServerAccess(asked["smtp_credentials"])
        return self.access

    def _answer(self, **values: Any) -> Response:
        answer = {"status": "success", **values}
        if self.access is None or self.access.renewal is None:
            return Response(answer)
        answer["auth"] = renewed_login(self.access.renewal)
        return Response(answer, headers={"Cache-Control": "no-store"})

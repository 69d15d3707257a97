"""`changes`: what was added, changed and removed in an account since a cursor."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import CallerViewSet
from accounts.models import EmailAccount
from mailboxes.api.accounts import readable_account
from mailboxes.api.queries import QuerySerializer
from mailboxes.api.shapes import MessageSerializer
from mailboxes.changes import Cursor, changes_since, first_cursor, latest_cursor
from mailhub.api.naming import CamelCaseMixin
from mailhub.api.pagination import LARGEST_LIMIT, read_cursor, read_limit, write_cursor
from mailhub.errors import InvalidInput

_KIND = "changes"
_LATEST = "latest"


class ChangesQuery(QuerySerializer):
    """Of which account, since when."""

    account_id = serializers.UUIDField()
    since = serializers.CharField(
        required=False,
        help_text="The `cursor` of the last answer. Without it everything is told from the "
        "beginning; `latest` tells nothing but the cursor of now.",
    )


class ChangesSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """`added` came into sight, `changed` look otherwise, `removed` are ids out of sight.

    A message that is added may be known already: it was out of sight in between, on its
    way to another folder. Ask again with `cursor`, at once where `hasMore`.
    """

    added = MessageSerializer(many=True)
    changed = MessageSerializer(many=True)
    removed = serializers.ListField(child=serializers.CharField())
    cursor = serializers.CharField()
    has_more = serializers.BooleanField()


class ChangesViewSet(CallerViewSet):
    """Changes of one account that the caller may read."""

    scope = "mail"

    @extend_schema(
        parameters=[
            ChangesQuery,
            OpenApiParameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": 50},
                OpenApiParameter.QUERY,
            ),
        ],
        responses=ChangesSerializer,
    )
    def read(self, request: Request) -> Response:
        """Each message once, as it is now, however often it changed.

        Removals are remembered for 30 days: a cursor older than one that was forgotten is
        answered 409 `cursor_expired`, and the client begins without one.
        """
        values = ChangesQuery.read(request)
        account = readable_account(self.caller, values["account_id"])
        limit = read_limit(request.query_params.get("limit"))
        found = changes_since(account.pk, _read(account, values.get("since")), limit)
        shape = MessageSerializer()
        return Response(
            {
                "added": [shape.to_representation(message) for message in found.added],
                "changed": [shape.to_representation(message) for message in found.changed],
                "removed": [str(message_id) for message_id in found.removed],
                "cursor": _written(account, found.cursor),
                "hasMore": found.has_more,
            }
        )


def _read(account: EmailAccount, since: str | None) -> Cursor:
    """Raises InvalidInput."""
    if since is None:
        return first_cursor(account.pk)
    if since == _LATEST:
        return latest_cursor(account.pk)
    foreign = InvalidInput.field("since", "This cursor does not belong to these changes.")
    try:
        kind, account_id, *numbers = read_cursor(since, 6)
    except InvalidInput:
        raise foreign from None
    if kind != _KIND or account_id != str(account.pk):
        raise foreign
    return Cursor(*numbers)


def _written(account: EmailAccount, cursor: Cursor) -> str:
    return write_cursor(_KIND, str(account.pk), *astuple(cursor))

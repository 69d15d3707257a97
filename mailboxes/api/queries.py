"""What may stand in the query of a list; anything else is refused by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from mailboxes.message_filter import MessageFilter, Position
from mailboxes.relevance_list import RankedPosition
from mailboxes.search.query import LONGEST_QUERY, read_query
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.pagination import read_cursor
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput

# These are read elsewhere: whom the call is for, and which page.
_READ_ELSEWHERE = frozenset({"tenant_id", "user_id", "limit", "cursor"})
_LARGEST_ID = 2**63 - 1
_LONGEST_WORDS = 500
_WORDS = "Words in this order, in any case; the last, of three characters or more, may go on."
_ORDERING = "messages"
_RANKED = "messages by relevance"


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "format": "int64"},
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
        ]
    }
)
class QueryTimeField(MillisecondsField):
    """A moment in an address: digits are milliseconds."""

    def to_internal_value(self, data: int | str) -> datetime:
        if isinstance(data, str) and data.lstrip("-").isdecimal() and len(data) < 19:
            return super().to_internal_value(int(data))
        return super().to_internal_value(data)


class QuerySerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[None]):
    """The base of all."""

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """The checked values by their names in Python. Raises ValidationError."""
        given = {
            name: value
            for name, value in request.query_params.items()
            if name not in _READ_ELSEWHERE
        }
        query = cls(data=given)
        query.is_valid(raise_exception=True)
        values: dict[str, Any] = query.validated_data
        return values


class AccountQuery(QuerySerializer):
    """Rows of one account, or of all that the caller may read."""

    account_id = serializers.UUIDField(required=False)


class RunQuery(QuerySerializer):
    """One run, else the newest."""

    sync_id = serializers.UUIDField(required=False)


class HtmlQuery(QuerySerializer):
    """Whether to load what lies elsewhere."""

    remote = serializers.BooleanField(required=False, default=False)


class NothingQuery(QuerySerializer):
    """No parameters."""


class MessageQuery(AccountQuery):
    """See `MessageFilter`."""

    folder_id = serializers.IntegerField(required=False, min_value=1, max_value=_LARGEST_ID)
    thread_id = serializers.IntegerField(required=False, min_value=1, max_value=_LARGEST_ID)
    q = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=LONGEST_QUERY,
        help_text=(
            'Words, "phrases", beginnings (invo*) and -exclusions over subject, people and text; '
            "from:, to:, subject:, in:, has:attachment, is:unread, is:read, is:flagged, "
            "before:, after: and since: (2026-11-21)."
        ),
    )
    to = serializers.CharField(
        required=False, max_length=_LONGEST_WORDS, source="recipient", help_text=_WORDS
    )
    subject = serializers.CharField(required=False, max_length=_LONGEST_WORDS, help_text=_WORDS)
    since = QueryTimeField(required=False)
    before = QueryTimeField(required=False)
    unread = serializers.BooleanField(required=False, allow_null=True, default=None)
    flagged = serializers.BooleanField(required=False, allow_null=True, default=None)
    has_attachment = serializers.BooleanField(required=False, allow_null=True, default=None)
    sort = serializers.ChoiceField(
        ["date", "relevance"],
        required=False,
        default="date",
        help_text=(
            "`date`: the newest first. `relevance`: the best match of `q` first, among the newest "
            "200 matches, then among the next 200, and so on."
        ),
    )

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        sender = serializers.CharField(
            required=False, max_length=_LONGEST_WORDS, source="sender", help_text=_WORDS
        )
        return {**super().get_fields(), "from": sender}


def message_filter(values: dict[str, Any]) -> MessageFilter:
    """From the values of a `MessageQuery`."""
    others = ("account_id", "q", "sort")
    given = {name: value for name, value in values.items() if name not in others}
    return MessageFilter(**given, query=read_query(values.get("q", "")))


def read_position(cursor: str | None) -> Position | None:
    """The position that a cursor names. Raises InvalidInput."""
    if not cursor:
        return None
    name, moment, pk = read_cursor(cursor, 3)
    if name != _ORDERING:
        raise _foreign_cursor()
    return _position(moment, pk)


def read_ranked_position(cursor: str | None) -> RankedPosition | None:
    """The same of a list by relevance. Raises InvalidInput."""
    if not cursor:
        return None
    name, above, above_pk, score, last, last_pk = read_cursor(cursor, 6)
    if name != _RANKED or not isinstance(score, int | float):
        raise _foreign_cursor()
    return RankedPosition(_position(above, above_pk), score, _position(last, last_pk))


def cursor_parts(position: Position) -> tuple[str, datetime, int]:
    """What a cursor for this position holds."""
    return (_ORDERING, *position)


def ranked_cursor_parts(position: RankedPosition) -> tuple[Any, ...]:
    """What a cursor for this position in a list by relevance holds."""
    return (_RANKED, *position.above, position.score, *position.last)


def _position(moment: Any, pk: Any) -> Position:
    try:
        if isinstance(pk, int) and 0 < pk <= _LARGEST_ID:
            received_at = datetime.fromisoformat(moment)
            if received_at.tzinfo is not None:
                return received_at, pk
    except (TypeError, ValueError):
        pass
    raise _foreign_cursor()


def _foreign_cursor() -> InvalidInput:
    return InvalidInput.field("cursor", "This cursor does not belong to this list.")

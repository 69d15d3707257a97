"""Pages by key: stable while rows are added, as quick on the last page as on the first.

A cursor holds the ordering value and the id of the last row shown. It is opaque to
clients and signed, so that no other value than one of ours reaches a query.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.crypto import salted_hmac
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from mailhub.errors import InvalidInput
from mailhub.numbers import whole_number

if TYPE_CHECKING:
    from rest_framework.views import APIView

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500
_SIGNATURE_LENGTH = 12


def read_limit(text: str | None) -> int:
    """The `limit` of a request. Raises InvalidInput."""
    if text is None:
        return DEFAULT_LIMIT
    limit = whole_number(text)
    if limit is None or not 1 <= limit <= LARGEST_LIMIT:
        raise InvalidInput.field("limit", f"Give a whole number from 1 to {LARGEST_LIMIT}.")
    return limit


def write_cursor(*parts: Any) -> str:
    """An opaque cursor for these JSON values (datetimes become ISO text)."""
    values = [part.isoformat() if isinstance(part, datetime) else part for part in parts]
    content = json.dumps(values, separators=(",", ":"), default=str).encode()
    return base64.urlsafe_b64encode(_sign(content) + content).decode().rstrip("=")


def read_cursor(cursor: str, length: int) -> list[Any]:
    """The values of a cursor. Raises InvalidInput."""
    try:
        signed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (ValueError, binascii.Error):
        raise _foreign_cursor() from None
    signature, content = signed[:_SIGNATURE_LENGTH], signed[_SIGNATURE_LENGTH:]
    if not hmac.compare_digest(signature, _sign(content)):
        raise _foreign_cursor()
    values: list[Any] = json.loads(content)
    if len(values) != length:
        raise _foreign_cursor()
    return values


def _sign(content: bytes) -> bytes:
    return salted_hmac("mailhub.cursor", content, algorithm="sha256").digest()[:_SIGNATURE_LENGTH]


def _foreign_cursor() -> InvalidInput:
    return InvalidInput.field("cursor", "This cursor does not belong to this list.")


class KeysetPagination(BasePagination):
    """Answers `{resource: […], nextCursor}`.

    The view says `page_key` (the name of the list), `page_ordering` (one field that is
    never null, with "-" for descending; the primary key breaks ties) and
    `page_cursor_name`.
    """

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any]:
        ordering: str = getattr(view, "page_ordering", "-pk")
        self.key: str = getattr(view, "page_key", "results")
        self.cursor_name: str = getattr(view, "page_cursor_name", "next_cursor")
        limit = read_limit(request.query_params.get("limit"))
        rows = page_after(queryset, ordering, request.query_params.get("cursor"), limit + 1)
        self.next_cursor = None
        if len(rows) > limit:
            rows = rows[:limit]
            field = ordering.lstrip("-")
            last = rows[-1]
            value = last.pk if field in ("pk", "id") else getattr(last, field)
            self.next_cursor = write_cursor(ordering, value, last.pk)
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({self.key: data, self.cursor_name: self.next_cursor})

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LARGEST_LIMIT,
                    "default": DEFAULT_LIMIT,
                },
            },
            {"name": "cursor", "in": "query", "schema": {"type": "string"}},
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Completed by `mailhub.api.schema.ApiSchema`, which knows the view."""
        return {"type": "object", "properties": {"results": schema}}


def page_after(queryset: QuerySet[Any], ordering: str, cursor: str | None, size: int) -> list[Any]:
    """The `size` rows after the cursor, in this ordering. Raises InvalidInput."""
    descending, field = ordering.startswith("-"), ordering.lstrip("-")
    sign, compare = ("-", "lt") if descending else ("", "gt")
    by_key = field in ("pk", "id")
    if cursor:
        name, value, key = read_cursor(cursor, 3)
        if name != ordering:
            raise _foreign_cursor()
        try:
            after = Q(**{f"pk__{compare}": key})
            if not by_key:
                after = Q(**{f"{field}__{compare}": value}) | Q(**{field: value}) & after
            queryset = queryset.filter(after)
        except (ValueError, TypeError, ValidationError) as error:
            raise _foreign_cursor() from error
    order: Sequence[str] = [f"{sign}pk"] if by_key else [f"{sign}{field}", f"{sign}pk"]
    return list(queryset.order_by(*order)[:size])

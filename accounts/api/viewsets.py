"""The base of every viewset: scoped once, here, so that no view can forget."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar, cast

from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet, ViewSet

from accounts.caller import Caller
from accounts.scope import TenantQuerySet

Row = TypeVar("Row", bound=Model)


class CallerMixin(APIView):
    """`scope` names the right that the view asks for: mail, campaigns, contacts or admin."""

    scope: ClassVar[str]
    reading_actions: ClassVar[tuple[str, ...]] = ()

    @property
    def caller(self) -> Caller:
        """Who is calling."""
        return cast(Caller, self.request.auth)

    def check_permissions(self, request: Request) -> None:
        """Counts the request first: a key without the right is slowed down as well."""
        super().check_throttles(request)
        super().check_permissions(request)

    def check_throttles(self, request: Request) -> None:
        """Done already, before the permissions."""


class TenantViewSet(CallerMixin, GenericViewSet[Row]):
    """Rows of one model, narrowed to the caller.

    `queryset` must come from a `TenantQuerySet`. A mail resource sets `page_cursor_name`
    to `nextCursor`.
    """

    page_key: ClassVar[str]
    page_ordering: ClassVar[str] = "-pk"
    page_cursor_name: ClassVar[str] = "next_cursor"

    def get_queryset(self) -> QuerySet[Row]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        return cast("TenantQuerySet[Row]", rows).for_caller(self.caller)

    def get_serializer_context(self) -> dict[str, Any]:
        context = dict(super().get_serializer_context())
        if not getattr(self, "swagger_fake_view", False):
            context["caller"] = self.caller
        return context

    def write(self, request: Request, row: Row | None = None) -> Row:
        """Make a row of the body, or change those fields of `row` that it names.

        Raises rest_framework's ValidationError, and what the serializer raises.
        """
        partial = row is not None
        serializer = self.get_serializer(row, data=request.data, partial=partial)
        serializer.is_valid(raise_exception=True)
        written: Row = serializer.save()
        return written


class CallerViewSet(CallerMixin, ViewSet):
    """Actions that are not about rows of one model; each scopes what it loads by the caller."""

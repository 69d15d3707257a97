"""`accounts/{id}/delegates`: who else may read an account, or read it and send from it."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.caller import find_member
from accounts.idempotency import idempotent
from accounts.models import Delegation, EmailAccount, Membership
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput


class DelegateSerializer(CamelCaseMixin, StrictMixin, serializers.Serializer[Delegation]):
    """`userId` takes a user's name or id, and is answered as the name; `access` is read or send."""

    user_id = serializers.CharField(source="user_name", max_length=80)
    access = serializers.ChoiceField(choices=["read", "send"], default="read")
    created_at = MillisecondsField(read_only=True)

    def to_representation(self, instance: Delegation) -> dict[str, Any]:
        instance.access = "send" if instance.may_send else "read"  # type: ignore[attr-defined]  # shown so
        shown: dict[str, Any] = super().to_representation(instance)
        return shown


class DelegateViewSet(mixins.ListModelMixin, mixins.DestroyModelMixin, TenantViewSet[Delegation]):
    """The delegates of one of the caller's own accounts."""

    scope = "mail"
    queryset = Delegation.objects.all()
    serializer_class = DelegateSerializer
    page_key = "delegates"
    page_ordering = "created_at"
    page_cursor_name = "nextCursor"

    def get_queryset(self) -> QuerySet[Delegation]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        account = self._account()
        names = Membership.objects.filter(tenant_id=account.tenant_id, user_id=OuterRef("user_id"))
        return rows.filter(account=account).annotate(user_name=Subquery(names.values("name")[:1]))

    def get_object(self) -> Delegation:
        rows = self.get_queryset()
        member = find_member(self.caller.tenant, self.kwargs["user_id"])
        return get_object_or_404(rows, user_id=member.user_id if member else None)

    @extend_schema(
        request=DelegateSerializer, responses={200: DelegateSerializer, 201: DelegateSerializer}
    )
    @idempotent()
    def create(self, request: Request, account_id: str) -> Response:
        """Make a user a delegate, or change what a delegate may do."""
        account = self._account()
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        wanted = serializer.validated_data
        member = find_member(self.caller.tenant, wanted["user_name"])
        if member is None:
            raise InvalidInput.field("userId", "The tenant has no such user.")
        if member.user_id == account.user_id:
            raise InvalidInput.field("userId", "The account is this user's own.")
        row, is_new = Delegation.objects.update_or_create(
            account=account, user=member.user, defaults={"may_send": wanted["access"] == "send"}
        )
        row.user_name = member.name  # type: ignore[attr-defined]  # annotated in get_queryset
        return Response(self.get_serializer(row).data, status=201 if is_new else 200)

    def _account(self) -> EmailAccount:
        return EmailAccount.objects.get_for_change(self.caller, self.kwargs["account_id"])

"""`suppressions`: addresses that no campaign writes to."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from contacts.addresses import InvalidAddress, normalise_email
from contacts.api.contacts import AddressField
from contacts.models import ErasedAddress, Suppression
from contacts.models.erased_address import digest_address
from mailhub.api.strict import StrictMixin
from mailhub.errors import NotFound


class SuppressionSerializer(StrictMixin, serializers.ModelSerializer[Suppression]):
    """A suppressed address, and why it is."""

    email = AddressField()

    class Meta:
        model = Suppression
        fields = ("email", "reason", "created_at")
        read_only_fields = ("created_at",)
        validators: list[Any] = []


class SuppressionViewSet(TenantViewSet[Suppression]):
    """The tenant's suppressed addresses."""

    scope = "contacts"
    page_key = "suppressions"
    queryset = Suppression.objects.all()
    serializer_class = SuppressionSerializer
    lookup_field = "email"
    lookup_value_regex = ".+@[^/]+"

    def list(self, request: Request) -> Response:
        """The newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(responses={200: SuppressionSerializer, 201: SuppressionSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Suppress an address; one that is suppressed keeps its reason (200)."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        row, is_new = Suppression.objects.get_or_create(
            tenant=self.caller.tenant, email=given.pop("email"), defaults=given
        )
        return Response(self.get_serializer(row).data, status=201 if is_new else 200)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, email: str) -> Response:
        """Let campaigns write to the address again, also to one that was erased."""
        try:
            address = normalise_email(email)
        except InvalidAddress:
            raise _not_suppressed() from None
        named = Suppression.objects.for_caller(self.caller).filter(email=address).lift()
        digest = digest_address(self.caller.tenant.pk, address)
        erased, _ = ErasedAddress.objects.for_caller(self.caller).filter(digest=digest).delete()
        if not named and not erased:
            raise _not_suppressed()
        return Response(status=204)


def _not_suppressed() -> NotFound:
    return NotFound("This address is not suppressed.")

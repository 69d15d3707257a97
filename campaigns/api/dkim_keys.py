"""`dkim-keys`: the keys with which a tenant's campaigns are signed."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from accounts.validators import clean_hostname
from campaigns.models import DkimKey
from campaigns.signing import SELECTOR, USUAL_SELECTOR, add_dkim_key
from mailhub.api.strict import StrictMixin


class DkimKeySerializer(StrictMixin, serializers.ModelSerializer[DkimKey]):
    """Put `dns_value` into the DNS as a TXT record at `dns_name`.

    Without a `private_key` (RSA, in PEM) one is made; it is never shown. Campaigns by SMTP from
    the domain are signed from then on; SES signs what goes by it.
    """

    private_key = serializers.CharField(
        required=False, write_only=True, max_length=20_000, trim_whitespace=False
    )
    dns_name = serializers.SerializerMethodField()
    dns_value = serializers.SerializerMethodField()

    class Meta:
        model = DkimKey
        fields = (
            "id",
            "domain",
            "selector",
            "private_key",
            "public_key",
            "dns_name",
            "dns_value",
            "created_at",
        )
        read_only_fields = ("id", "public_key", "created_at")
        validators: list[Any] = []

    selector = serializers.RegexField(SELECTOR, required=False, default=USUAL_SELECTOR)

    def validate_domain(self, value: str) -> str:
        return clean_hostname(value).lower()

    def get_dns_name(self, key: DkimKey) -> str:
        """Where the record belongs."""
        return str(key)

    def get_dns_value(self, key: DkimKey) -> str:
        """The record's text."""
        return key.dns_value


class DkimKeyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[DkimKey]):
    """The tenant's keys. For admins."""

    scope = "admin"
    queryset = DkimKey.objects.all()
    serializer_class = DkimKeySerializer
    lookup_value_regex = "[0-9]{1,18}"
    page_key = "dkim_keys"

    @extend_schema(responses={201: DkimKeySerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Sign campaigns from this domain. One that has a key keeps it (409): delete that first."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        key = add_dkim_key(self.caller.tenant, **serializer.validated_data)
        return Response(self.get_serializer(key).data, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Sign no more from this domain."""
        self.get_object().delete()
        return Response(status=204)

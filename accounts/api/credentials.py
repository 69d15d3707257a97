"""`credentials`: kept encrypted, and never read back."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.secrets import (
    AwsSecretSerializer,
    OAuth2SecretSerializer,
    secret_text,
    take_secret,
)
from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from accounts.models import Credential
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.errors import Conflict


class CredentialSerializer(CamelCaseMixin, StrictMixin, serializers.ModelSerializer[Credential]):
    """One of `password`, `oauth2` and `aws` goes in; none comes out.

    `provider` names the OAuth2 provider at which a person gave the permission; else it is empty.
    """

    password = secret_text(required=False)
    oauth2 = OAuth2SecretSerializer(required=False, write_only=True)
    aws = AwsSecretSerializer(required=False, write_only=True)
    kind = serializers.ChoiceField(
        choices=Credential._meta.get_field("kind").choices or (), required=False
    )
    created_at = MillisecondsField(read_only=True)
    updated_at = MillisecondsField(read_only=True)

    class Meta:
        model = Credential
        fields = (
            "id",
            "name",
            "kind",
            "username",
            "provider",
            "password",
            "oauth2",
            "aws",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("provider",)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        taken = take_secret(attrs)
        if taken is None:
            raise serializers.ValidationError("Give a password, oauth2 or aws.")
        kind, secret = taken
        if attrs.get("kind", kind) != kind:
            raise serializers.ValidationError({"kind": [f"The secret given is of kind {kind}."]})
        return {**attrs, "kind": kind, "secret": secret}

    def create(self, validated_data: dict[str, Any]) -> Credential:
        caller = self.context["caller"]
        secret = validated_data.pop("secret")
        credential = Credential(tenant=caller.tenant, user=caller.user, **validated_data)
        credential.keep_secret(secret)
        credential.save()
        return credential


class CredentialViewSet(mixins.ListModelMixin, mixins.DestroyModelMixin, TenantViewSet[Credential]):
    """The caller's own credentials."""

    scope = "mail"
    queryset = Credential.objects.all()
    serializer_class = CredentialSerializer
    page_key = "credentials"
    page_ordering = "-created_at"
    page_cursor_name = "nextCursor"

    @extend_schema(request=CredentialSerializer, responses={201: CredentialSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Keep a secret for accounts to use."""
        return Response(self.get_serializer(self.write(request)).data, status=201)

    def perform_destroy(self, instance: Credential) -> None:
        with transaction.atomic():
            if instance.is_used:
                words = "An email account or an SES topic uses this credential."
                raise Conflict(words, code="credential_in_use")
            instance.delete()

"""`keys`: the API keys of the tenant. For admins; a key is shown once."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.caller import ALL_SCOPES
from accounts.idempotency import idempotent
from accounts.issuing import issue_key, revoke_key
from accounts.models import ApiKey, Membership
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput


class KeySerializer(StrictMixin, serializers.ModelSerializer[ApiKey]):
    """`user` is a user's name, the caller's own unless given. No scopes: those of its role."""

    user = serializers.CharField(source="user_name", required=False, max_length=80)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=ALL_SCOPES), required=False
    )

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "name",
            "prefix",
            "user",
            "scopes",
            "is_service",
            "expires_at",
            "last_used_at",
            "created_at",
        )
        read_only_fields = ("prefix", "last_used_at")

    def validate_expires_at(self, value: Any) -> Any:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This moment has passed.")
        return value


class NewKeySerializer(KeySerializer):
    """`key` is the whole text of the key, answered this once."""

    key = serializers.CharField(read_only=True)

    class Meta:
        model = ApiKey
        fields = (*KeySerializer.Meta.fields, "key")


class KeyViewSet(mixins.ListModelMixin, mixins.DestroyModelMixin, TenantViewSet[ApiKey]):
    """The keys of the tenant."""

    scope = "admin"
    queryset = ApiKey.objects.all()
    serializer_class = KeySerializer
    page_key = "keys"
    page_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[ApiKey]:
        holder = Membership.objects.filter(
            tenant_id=OuterRef("tenant_id"), user_id=OuterRef("user_id")
        )
        return super().get_queryset().annotate(user_name=Subquery(holder.values("name")[:1]))

    @extend_schema(request=KeySerializer, responses={201: NewKeySerializer})
    @idempotent(secret_fields=["key"])
    def create(self, request: Request) -> Response:
        """Issue a key."""
        serializer = KeySerializer(data=request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        wanted = dict(serializer.validated_data)
        name = wanted.pop("user_name", self.caller.membership.name)
        membership = Membership.objects.for_caller(self.caller).filter(name=name).first()
        if membership is None:
            raise InvalidInput.field("user", "There is no such user.")
        key, text = issue_key(self.caller, membership, **wanted)
        key.user_name = name  # type: ignore[attr-defined]  # annotated in get_queryset
        key.key = text  # type: ignore[attr-defined]  # for this one answer
        return Response(NewKeySerializer(key).data, status=201)

    def perform_destroy(self, instance: ApiKey) -> None:
        revoke_key(self.caller, instance)

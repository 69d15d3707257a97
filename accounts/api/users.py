"""`users`: who belongs to the tenant, and as what. For admins."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from accounts.members import (
    add_member,
    change_role,
    refuse_weak_password,
    remove_member,
    set_active,
)
from accounts.models import Membership, Role
from mailhub.api.strict import StrictMixin


class UserSerializer(StrictMixin, serializers.ModelSerializer[Membership]):
    """`id` and `name` are what X-User-ID takes; the name stays as it was given first.

    `password` is the first one, for the pages; without it the user has API keys alone.
    One who is not active is let in nowhere, by key or password; keys work again when it is.
    """

    id = serializers.IntegerField(source="user_id", read_only=True)
    email = serializers.EmailField(source="user.email", required=False, allow_blank=True)
    login = serializers.CharField(source="user.username", read_only=True)
    last_login = serializers.DateTimeField(
        source="user.last_login", read_only=True, allow_null=True
    )
    is_active = serializers.BooleanField(source="user.is_active", required=False)
    password = serializers.CharField(
        write_only=True, required=False, max_length=200, trim_whitespace=False
    )

    class Meta:
        model = Membership
        fields = (
            "id",
            "name",
            "role",
            "email",
            "login",
            "password",
            "is_active",
            "last_login",
            "created_at",
        )

    def validate_name(self, value: str) -> str:
        if self.instance is not None and value != self.instance.name:
            raise serializers.ValidationError("A name cannot be changed.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if self.instance is None and attrs.get("user", {}).get("is_active") is False:
            raise serializers.ValidationError({"is_active": ["A new user is active."]})
        password = attrs.get("password")
        if password is None:
            return attrs
        if self.instance is not None:
            raise serializers.ValidationError(
                {"password": ["Only its user may change a password."]}
            )
        try:
            refuse_weak_password(attrs["name"], attrs.get("user", {}).get("email", ""), password)
        except ValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from error
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Membership:
        return add_member(
            self.context["caller"],
            validated_data["name"],
            Role(validated_data.get("role", Role.MEMBER)),
            email=validated_data.get("user", {}).get("email", ""),
            password=validated_data.get("password", ""),
        )

    @transaction.atomic
    def update(self, instance: Membership, validated_data: dict[str, Any]) -> Membership:
        role = Role(validated_data.get("role", instance.role))
        change_role(self.context["caller"], instance, role)
        given = validated_data.get("user", {})
        if "is_active" in given:
            set_active(self.context["caller"], instance, given["is_active"])
        email = given.get("email")
        if email is not None and not instance.user.memberships.exclude(pk=instance.pk).exists():
            instance.user.email = email
            instance.user.save(update_fields=["email"])
        return instance


class UserViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    TenantViewSet[Membership],
):
    """The users of the tenant."""

    scope = "admin"
    queryset = Membership.objects.select_related("user", "tenant")
    serializer_class = UserSerializer
    page_key = "users"
    page_ordering = "name"
    lookup_field = "name"
    lookup_value_regex = "[^/]+"
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    @extend_schema(request=UserSerializer, responses={201: UserSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Add a user to the tenant."""
        return Response(self.get_serializer(self.write(request)).data, status=201)

    def perform_destroy(self, instance: Membership) -> None:
        remove_member(self.caller, instance)

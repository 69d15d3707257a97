"""`event-webhooks`: where the tenant's events are posted. For admins; a secret is shown once."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.event_webhooks import (
    add_webhook,
    change_webhook,
    clean_url,
    rotate_secret,
    send_test,
)
from accounts.events.catalogue import CATALOGUE
from accounts.idempotency import idempotent
from accounts.models import EventDelivery, EventDeliveryState, EventWebhook
from accounts.models.event_webhook import EVERY_EVENT, LONGEST_URL
from mailhub.api.strict import StrictMixin


class EventWebhookSerializer(StrictMixin, serializers.ModelSerializer[EventWebhook]):
    """`events` are types, or `*` for all of them, later ones too, but for `delivery.sent`,
    `delivery.opened` and `delivery.clicked`, which may be named beside it.

    `disabled_reason` says why one is disabled that nobody switched off; to enable it clears
    that. `failing_since` is null while it takes what is posted.
    """

    url = serializers.CharField(max_length=LONGEST_URL)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=[*CATALOGUE, EVERY_EVENT]),
        allow_empty=False,
        max_length=len(CATALOGUE) + 1,
        help_text="; ".join(
            f"`{kind.name}`: {kind.happens} (data: {', '.join(kind.fields)})"
            for kind in CATALOGUE.values()
        ),
    )

    class Meta:
        model = EventWebhook
        fields = (
            "id",
            "url",
            "description",
            "events",
            "is_enabled",
            "disabled_reason",
            "failing_since",
            "last_success_at",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("disabled_reason",)

    def validate_url(self, value: str) -> str:
        try:
            return clean_url(value)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from error

    def validate_events(self, value: list[str]) -> list[str]:
        names = list(dict.fromkeys(value))
        if EVERY_EVENT in names and not all(
            name == EVERY_EVENT or CATALOGUE[name].by_name for name in names
        ):
            raise serializers.ValidationError(
                f"Beside {EVERY_EVENT} give only what it does not stand for."
            )
        return names

    def update(self, instance: EventWebhook, validated_data: dict[str, Any]) -> EventWebhook:
        change_webhook(instance, validated_data)
        return instance


class SecretEventWebhookSerializer(EventWebhookSerializer):
    """`secret` is what requests are signed with, answered this once."""

    secret = serializers.CharField(read_only=True)

    class Meta:
        model = EventWebhook
        fields = (*EventWebhookSerializer.Meta.fields, "secret")
        read_only_fields = EventWebhookSerializer.Meta.read_only_fields


class EventDeliverySerializer(serializers.ModelSerializer[EventDelivery]):
    """`http_status` is 0 where there was no answer; `reply` the first words of a refusal."""

    id = serializers.CharField(source="pk", read_only=True)
    event_id = serializers.CharField(source="event.public_id", read_only=True)
    type = serializers.CharField(source="event.type", read_only=True)
    state = serializers.ChoiceField(choices=EventDeliveryState.choices, read_only=True)
    http_status = serializers.IntegerField(source="status", read_only=True)
    created_at = serializers.DateTimeField(source="event.created_at", read_only=True)

    class Meta:
        model = EventDelivery
        fields = (
            "id",
            "event_id",
            "type",
            "state",
            "attempts",
            "http_status",
            "reply",
            "created_at",
            "last_attempt_at",
            "next_attempt_at",
        )
        read_only_fields = fields


class TestEventSerializer(serializers.Serializer[Any]):
    """`event_id` is looked for among the deliveries."""

    __test__ = False

    event_id = serializers.CharField(source="public_id", read_only=True)


class EventWebhookViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    TenantViewSet[EventWebhook],
):
    """The webhooks of the tenant."""

    scope = "admin"
    queryset = EventWebhook.objects.all()
    serializer_class = EventWebhookSerializer
    page_key = "event_webhooks"
    page_ordering = "-created_at"
    lookup_value_regex = "[^/]+"
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    @extend_schema(request=EventWebhookSerializer, responses={201: SecretEventWebhookSerializer})
    @idempotent(secret_fields=["secret"])
    def create(self, request: Request) -> Response:
        """Add a webhook; its secret stands in this answer alone."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        webhook, secret = add_webhook(self.caller, **serializer.validated_data)
        return self._with_secret(webhook, secret, 201)

    @extend_schema(request=None, responses=SecretEventWebhookSerializer)
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    @idempotent(secret_fields=["secret"])
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """Give it a new secret; for a day requests carry a signature of the old one as well."""
        webhook = self.get_object()
        return self._with_secret(webhook, rotate_secret(webhook), 200)

    @extend_schema(request=None, responses={202: TestEventSerializer})
    @action(detail=True, methods=["post"])
    @idempotent()
    def test(self, request: Request, pk: str) -> Response:
        """Post an event of type `webhook.test` to it alone."""
        return Response(TestEventSerializer(send_test(self.get_object())).data, status=202)

    def _with_secret(self, webhook: EventWebhook, secret: str, status: int) -> Response:
        shown = EventWebhookSerializer(webhook, context=self.get_serializer_context()).data
        return Response({**shown, "secret": secret}, status=status)


class EventDeliveryViewSet(mixins.ListModelMixin, TenantViewSet[EventDelivery]):
    """What was posted to a webhook, or waits for it, the newest first."""

    scope = "admin"
    queryset = EventDelivery.objects.select_related("event")
    serializer_class = EventDeliverySerializer
    page_key = "deliveries"
    page_ordering = "-pk"

    def get_queryset(self) -> QuerySet[EventDelivery]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        webhooks = EventWebhook.objects.for_caller(self.caller)
        return rows.filter(webhook=get_object_or_404(webhooks, pk=self.kwargs["webhook_id"]))

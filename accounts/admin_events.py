"""The admin's pages of events: to look at, not to change. None shows a secret."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.events.catalogue import CATALOGUE, TEST
from accounts.models import Event, EventDelivery, EventWebhook
from mailhub.admin_lists import ReadOnlyAdmin


class TypeFilter(admin.SimpleListFilter):
    """By the catalogue: to ask a table of millions for its types takes too long."""

    title = "type"
    parameter_name = "type"

    def lookups(
        self, _request: HttpRequest, _admin: admin.ModelAdmin[Event]
    ) -> list[tuple[str, str]]:
        return [(name, name) for name in (*CATALOGUE, TEST.name)]

    def queryset(self, _request: HttpRequest, rows: QuerySet[Event]) -> QuerySet[Event]:
        return rows.filter(type=self.value()) if self.value() else rows


@admin.register(EventWebhook)
class EventWebhookAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "host",
        "tenant",
        "wanted",
        "is_enabled",
        "failures",
        "held_until",
        "last_success_at",
    )
    list_filter = ("is_enabled", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("description", "url", "tenant__slug")
    date_hierarchy = "created_at"
    fields = (
        "host",
        "description",
        "tenant",
        "wanted",
        "is_enabled",
        "disabled_reason",
        "failures",
        "failing_since",
        "held_until",
        "last_success_at",
        "worker",
        "leased_until",
        "created_at",
        "updated_at",
    )

    @admin.display(description="events")
    def wanted(self, webhook: EventWebhook) -> str:
        """In one line."""
        return ", ".join(webhook.events)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("type", "public_id", "tenant", "created_at")
    list_filter = (TypeFilter, "tenant")
    list_select_related = ("tenant",)
    date_hierarchy = "created_at"
    fields = ("public_id", "type", "tenant", "data", "created_at")


@admin.register(EventDelivery)
class EventDeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        "event_type",
        "webhook",
        "state",
        "attempts",
        "status",
        "reply",
        "last_attempt_at",
        "next_attempt_at",
    )
    list_filter = ("state", "webhook__tenant")
    list_select_related = ("event", "webhook")
    search_fields = ("reply", "webhook__description")
    fields = ("event", "webhook", "state", "attempts", "status", "reply", "last_attempt_at")

    @admin.display(description="event", ordering="event__type")
    def event_type(self, delivery: EventDelivery) -> str:
        """What it tells of."""
        return delivery.event.type

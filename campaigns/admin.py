"""The admin's campaign history: how each went, to whom, in the servers' words. No secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from campaigns import admin_feedback  # noqa: F401 - it registers its pages
from campaigns.admin_templates import TemplateAdmin
from campaigns.lifecycle import cancel_campaign, pause_campaign, resume_campaign
from campaigns.models import (
    Campaign,
    CampaignAttachment,
    Delivery,
    DeliveryEvent,
    DeliveryState,
    SenderShare,
)
from campaigns.progress import Progress, measure_progress, measure_progress_of
from campaigns.resolving import mark_uncertain_sent, resend_uncertain, retry_failed
from mailhub.admin_lists import HistoryAdmin, ReadOnlyAdmin
from mailhub.errors import Conflict, InvalidInput
from mailhub.generic_bases import TabularInline

__all__ = ["CampaignAdmin", "DeliveryAdmin", "TemplateAdmin"]

_HEAVY = ("html_body", "text_body", "headers", "smtp_password")
_BESIDE = (DeliveryState.FAILED, DeliveryState.SKIPPED, DeliveryState.UNCERTAIN)


class MeasuredList(ChangeList):
    """Measures the campaigns of one page at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        measured = measure_progress_of(self.result_list)
        for campaign in self.result_list:
            campaign.measured = measured[campaign.pk]


class LookedAtInline(TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttachmentInline(LookedAtInline):
    model = CampaignAttachment
    fields = readonly_fields = ("filename", "content_type", "content_id", "size")


class ShareInline(LookedAtInline):
    """The accounts that share a campaign, and why one of them is left out."""

    model = SenderShare
    fields = readonly_fields = ("account", "from_email", "weight", "trouble")


@admin.register(Campaign)
class CampaignAdmin(HistoryAdmin):
    list_display = (
        "name",
        "tenant",
        "status",
        "bar",
        "outcome",
        "rate",
        "created_at",
        "completed_at",
        "last_error",
    )
    list_filter = ("status", "tenant", "sender")
    list_select_related = ("tenant",)
    search_fields = ("name", "campaign_id", "subject", "from_email")
    date_hierarchy = "created_at"
    ordering = ("-pk",)
    actions = ("pause", "resume", "cancel", "resend", "mark_sent", "retry")
    inlines = (AttachmentInline, ShareInline)
    fieldsets = (
        (None, {"fields": ("campaign_id", "name", "tenant", "created_by", "kind")}),
        (
            "How it goes",
            {"fields": ("status", "bar", "counts", "rate", "pause_reason", "last_error")},
        ),
        ("How fast", {"fields": ("rate_per_second", "rate_per_hour", "rate_per_day")}),
        ("Times", {"fields": ("created_at", "scheduled_at", "started_at", "completed_at")}),
        ("Message", {"fields": ("from_email", "reply_to", "subject", "html_body", "text_body")}),
        (
            "Server",
            {"fields": ("sender", "account", "smtp_host", "smtp_port", "smtp_encryption")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        return super().get_queryset(request).defer(*_HEAVY)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MeasuredList

    def has_change_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """For the actions; a single campaign is only looked at."""
        return obj is None and super().has_change_permission(request)

    @admin.display(description="progress")
    def bar(self, campaign: Campaign) -> SafeString:
        """A bar with its words for whoever cannot see it."""
        progress = _progress(campaign)
        percent = int(progress.percent)
        words = f"{progress.total - progress.remaining} of {progress.total}"
        return format_html(
            '<progress max="100" value="{}" title="{}">{} %</progress> {}',
            percent,
            words,
            percent,
            words,
        )

    @admin.display
    def outcome(self, campaign: Campaign) -> str:
        """How many were sent, and what else became of them."""
        progress = _progress(campaign)
        parts = [f"{progress.sent} sent"]
        parts += [
            f"{getattr(progress, state)} {state}" for state in _BESIDE if getattr(progress, state)
        ]
        return ", ".join(parts)

    @admin.display(description="deliveries")
    def counts(self, campaign: Campaign) -> SafeString:
        """Each count as a link to its deliveries."""
        progress = _progress(campaign)
        address = reverse("admin:campaigns_delivery_changelist")
        return format_html_join(
            ", ",
            '<a href="{}?campaign__id__exact={}&amp;state__exact={}">{} {}</a>',
            [
                (address, campaign.pk, state, getattr(progress, state), state)
                for state in (DeliveryState.SENT, *_BESIDE)
            ]
            + [(address, campaign.pk, DeliveryState.QUEUED, progress.remaining, "remaining")],
        )

    @admin.display(description="a second")
    def rate(self, campaign: Campaign) -> float:
        """Messages a second: now, or on average when it is over."""
        return _progress(campaign).rate_per_second

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Send nothing more for now."""
        self._change_each(request, campaigns, pause_campaign, "paused")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Go on where they were paused."""
        self._change_each(request, campaigns, resume_campaign, "resumed")

    @admin.action(description="Cancel for good", permissions=["change"])
    def cancel(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Send nothing more, for good."""
        self._change_each(request, campaigns, cancel_campaign, "cancelled")

    @admin.action(
        description="Send again to the uncertain, some of whom may have it", permissions=["change"]
    )
    def resend(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Mail everybody once more whose last answer was not seen."""
        self._change_each(request, campaigns, resend_uncertain, "go on")

    @admin.action(description="Count the uncertain as sent", permissions=["change"])
    def mark_sent(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Believe that they have it; the deliveries say who decided."""
        by = request.user.get_username()
        self._change_each(
            request, campaigns, lambda campaign: mark_uncertain_sent(campaign, by=by), "resolved"
        )

    @admin.action(description="Try again who failed", permissions=["change"])
    def retry(self, request: HttpRequest, campaigns: QuerySet[Campaign]) -> None:
        """Queue everybody once more whom the server refused."""
        self._change_each(request, campaigns, retry_failed, "go on")

    def _change_each(
        self,
        request: HttpRequest,
        campaigns: QuerySet[Campaign],
        change: Callable[[Campaign], object],
        done: str,
    ) -> None:
        changed = 0
        for campaign in campaigns:
            try:
                change(campaign)
            except (Conflict, InvalidInput) as refusal:
                words = f"{campaign.name}: {refusal.message}"
                self.message_user(request, words, messages.WARNING)
            else:
                changed += 1
        if changed:
            self.message_user(request, f"{changed} {done}.", messages.SUCCESS)


class EventInline(LookedAtInline):
    model = DeliveryEvent
    fields = readonly_fields = ("at", "kind", "verdict", "is_automatic", "source", "details")
    ordering = ("at",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """One row a recipient, with what became known of it. A campaign's are found from its page."""

    inlines = (EventInline,)

    list_display = ("email", "campaign", "shown", "attempts", "reply", "finished_at")
    list_filter = ("state",)
    list_select_related = ("campaign",)
    search_fields = ("=email", "=message_id")
    raw_id_fields = ("campaign", "contact", "shift")
    ordering = ("-pk",)

    @admin.display(description="state")
    def shown(self, delivery: Delivery) -> str:
        """Its state, or that a worker has it in hand."""
        return delivery.shown_state

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        if lookup == "campaign__id__exact":
            return True
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]  # the stubs know no None


def _progress(campaign: Campaign) -> Progress:
    measured: Progress | None = getattr(campaign, "measured", None)
    return measured or measure_progress(campaign)

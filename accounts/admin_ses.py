"""The admin's page of what SES allows, and how much of it is taken."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone

from accounts.models import SesQuota
from accounts.models.ses_quota import UNLIMITED
from mailhub.admin_lists import ReadOnlyAdmin


@admin.register(SesQuota)
class SesQuotaAdmin(ReadOnlyAdmin):
    list_display = ("region", "access_key_id", "a_second", "day", "state", "read_at")
    list_filter = ("region", "is_in_sandbox", "is_enabled")
    search_fields = ("access_key_id",)
    fields = ("region", "access_key_id", "a_second", "day", "state", "frees_at", "note", "read_at")

    @admin.display(description="recipients a second", ordering="rate")
    def a_second(self, quota: SesQuota) -> str:
        """The account's rate."""
        return f"{quota.rate:g}"

    @admin.display(description="in 24 hours", ordering="daily")
    def day(self, quota: SesQuota) -> str:
        """What is used of the daily quota."""
        used = quota.sent + quota.taken
        whole = "no limit" if quota.daily == UNLIMITED else f"of {quota.daily:,.0f}"
        return f"{used:,.0f} {whole}"

    @admin.display(description="state")
    def state(self, quota: SesQuota) -> str:
        """Whether it sends, and to whom."""
        if not quota.is_enabled:
            return "sending is paused at SES"
        if quota.paused_until is not None and quota.paused_until > timezone.now():
            return f"daily quota used up; asked again at {quota.paused_until:%H:%M} UTC"
        return "sandbox: verified addresses only" if quota.is_in_sandbox else "sends"

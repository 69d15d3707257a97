"""Admin lists over tables of millions, and over what the admin shows but never changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from mailhub.generic_bases import ModelAdmin, Paginator


def short_time(moment: datetime | None) -> str:
    """To the minute, in the zone of the admin's pages."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}" if moment else "–"


class BriefPaginator(Paginator):
    """Offers the first pages of a table, and counts no further than they go."""

    most = 10_000

    @cached_property
    def count(self) -> int:
        """How many rows the offered pages hold."""
        rows: Any = self.object_list
        return int(rows.order_by()[: self.most].count())

    @cached_property
    def has_more(self) -> bool:
        """Whether there are rows beyond them, which a search or a filter has to find."""
        rows: Any = self.object_list
        return self.count == self.most and rows.order_by()[self.most :][:1].exists()


class HistoryAdmin(ModelAdmin):
    """Rows that the product's own work makes: looked at here, neither added nor deleted."""

    paginator = BriefPaginator
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(HistoryAdmin):
    """Rows that are not changed here either."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

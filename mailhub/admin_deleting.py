"""Deletes what is chosen in an admin list, however much that is.

Django's own asks with the name of each row and of all beneath it, and wants the key of each
back: with a hundred thousand rows a page of megabytes, whose form it then refuses. This one
asks with a number, and deletes piece by piece for some seconds; what is left then is asked
for once more.
"""

from __future__ import annotations

import time
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from mailhub.admin_lists import BriefPaginator
from mailhub.generic_bases import ModelAdmin
from mailhub.numbers import whole_number
from mailhub.templatetags.pages import count

_SECONDS = 25.0
_A_PIECE = 500
_NAMED = 10


class DeletesMany(ModelAdmin):
    """To be mixed in; the admin names `delete_selected` among its actions."""

    seconds_of_deleting = _SECONDS

    @admin.action(description="Delete the chosen %(verbose_name_plural)s", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, chosen: QuerySet[Model]) -> HttpResponse | None:
        """Ask first; then delete for some seconds, and ask again where more is left."""
        newest = whole_number(request.POST.get("newest", ""))
        if newest is None:
            newest = chosen.order_by("-pk").values_list("pk", flat=True).first()
        # Who joins after the question was asked was not meant by it.
        asked = chosen.filter(pk__lte=newest or 0)
        deleted = whole_number(request.POST.get("deleted", "")) or 0
        if request.POST.get("post"):
            deleted += self._delete_for_a_while(request, asked)
            if not asked.exists():
                words = f"{self.opts.verbose_name},{self.opts.verbose_name_plural}"
                messages.success(request, f"{count(deleted, words)} deleted.")
                return None
        return self._ask(request, asked, newest or 0, deleted)

    def _delete_for_a_while(self, request: HttpRequest, asked: QuerySet[Model]) -> int:
        deleted, until = 0, time.monotonic() + self.seconds_of_deleting
        while keys := list(asked.order_by("pk").values_list("pk", flat=True)[:_A_PIECE]):
            piece = self.model._default_manager.filter(pk__in=keys)
            self.log_deletions(request, piece)
            self.delete_queryset(request, piece)
            deleted += len(keys)
            if time.monotonic() > until:
                break
        return deleted

    def _ask(
        self, request: HttpRequest, asked: QuerySet[Model], newest: int, deleted: int
    ) -> HttpResponse:
        pages = BriefPaginator(asked, 1)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"Delete {self.opts.verbose_name_plural}?",
            "opts": self.opts,
            "number": pages.count,
            "has_more": pages.has_more,
            "first": asked.order_by("-pk")[:_NAMED],
            "deleted": deleted,
            "newest": newest,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/delete_many.html", context)

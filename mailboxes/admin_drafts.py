"""The admin's page of drafts: that they are there and where their copies lie, nothing they say."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.text import Truncator

from mailboxes.models import Draft
from mailhub.admin_lists import ReadOnlyAdmin

_SHOWN_OF_AN_ERROR = 120


@admin.register(Draft)
class DraftAdmin(ReadOnlyAdmin):
    """Neither subject nor recipients: nobody but its writer has seen them yet."""

    list_display = ("id", "account", "version", "updated_at", "files", "copy_state", "trouble")
    list_select_related = ("account",)
    search_fields = ("=id", "=account__email_address")
    search_help_text = "The whole id, or the whole address of the account"
    ordering = ("-updated_at",)
    list_per_page = 50
    fields = (
        "id",
        "account",
        "version",
        "created_at",
        "updated_at",
        "files",
        "copy_state",
        "copied_version",
        "copied_at",
        "copy_path",
        "copy_due_at",
        "copy_tries",
        "copy_error",
        "is_sent_from_outbox",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Draft]:
        rows: QuerySet[Draft] = super().get_queryset(request)
        rows = rows.defer("subject", "text", "html", "to", "cc", "bcc")
        return rows.annotate(
            file_count=Count("attachments"), file_octets=Sum("attachments__size", default=0)
        )

    @admin.display(description="files")
    def files(self, draft: Draft) -> str:
        """How many, and how large together."""
        count: int = getattr(draft, "file_count", 0)
        return f"{count}, {filesizeformat(getattr(draft, 'file_octets', 0))}" if count else "–"

    @admin.display(description="copy")
    def copy_state(self, draft: Draft) -> str:
        """Whether the Drafts folder has the newest version."""
        if not draft.is_copied:
            return "here alone (POP3)"
        return "waits" if draft.has_news else "in the Drafts folder"

    @admin.display(description="trouble")
    def trouble(self, draft: Draft) -> str:
        """What kept the newest version away."""
        return Truncator(draft.copy_error).chars(_SHOWN_OF_AN_ERROR) or "–"

    @admin.display(description="in the outbox", boolean=True)
    def is_sent_from_outbox(self, draft: Draft) -> bool:
        """Whether it waits there to be sent."""
        return draft.outbox_id is not None

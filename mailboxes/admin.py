"""The admin's pages of mailboxes: that and how mail is fetched, never what it says.

Operators see a message's envelope alone: no text, no snippet, no attachment.
"""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mailboxes.connections import refuse_unreadable
from mailboxes.models import Folder, Mailbox, Message, SkippedMessage, SyncRun
from mailboxes.sync.estimate import describe_progress
from mailboxes.sync.requesting import cancel_sync, request_sync
from mailhub.admin_lists import ReadOnlyAdmin
from mailhub.errors import MailhubError


def progress_bar(run: SyncRun) -> SafeString:
    """A bar with its words for whoever cannot see it."""
    return format_html(
        '<progress max="100" value="{}" title="{}">{} %</progress>',
        run.percent,
        describe_progress(run),
        run.percent,
    )


@admin.register(Mailbox)
class MailboxAdmin(ReadOnlyAdmin):
    list_display = ("email_address", "tenant", "is_enabled", "now", "last_sync_at", "trouble")
    list_filter = ("is_enabled", "is_syncing", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("email_address", "hostname")
    fields = ("email_address", "tenant", "hostname", "is_enabled", "last_sync_at", "trouble")
    actions = ("sync_now", "sync_fully")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mailbox]:
        active = Prefetch("sync_runs", SyncRun.objects.active(), to_attr="active_runs")
        rows: QuerySet[Mailbox] = super().get_queryset(request).prefetch_related(active)
        return rows

    @admin.display(description="now")
    def now(self, mailbox: Mailbox) -> SafeString | str:
        """The bar of the pass that is under way."""
        runs: list[SyncRun] = getattr(mailbox, "active_runs", [])
        return progress_bar(runs[0]) if runs else "–"

    @admin.display(description="trouble")
    def trouble(self, mailbox: Mailbox) -> str:
        """Why it is disabled."""
        return mailbox.disabled_reason or "–"

    @admin.action(description="Sync now", permissions=["view"])
    def sync_now(self, request: HttpRequest, chosen: QuerySet[Mailbox]) -> None:
        """Ask for a pass over each."""
        self._sync(request, chosen, is_full=False)

    @admin.action(description="Sync fully: compare everything", permissions=["view"])
    def sync_fully(self, request: HttpRequest, chosen: QuerySet[Mailbox]) -> None:
        """Ask for a full pass over each."""
        self._sync(request, chosen, is_full=True)

    def _sync(self, request: HttpRequest, chosen: QuerySet[Mailbox], *, is_full: bool) -> None:
        asked = 0
        for mailbox in chosen:
            try:
                refuse_unreadable(mailbox)
                request_sync(mailbox, is_full=is_full)
            except MailhubError as error:
                messages.error(request, f"{mailbox.email_address}: {error.message}")
            else:
                asked += 1
        if asked:
            messages.success(request, f"{asked} asked for; the list shows how far they are.")


@admin.register(SyncRun)
class SyncRunAdmin(ReadOnlyAdmin):
    list_display = (
        "account",
        "state",
        "bar",
        "folders",
        "fetched",
        "messages_skipped",
        "started_at",
        "finished_at",
        "error",
    )
    list_filter = ("state", "is_full")
    list_select_related = ("account",)
    search_fields = ("account__email_address", "error")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    exclude = ("worker", "again")
    actions = ("cancel",)

    @admin.display(description="progress")
    def bar(self, run: SyncRun) -> SafeString:
        """How far it is."""
        return progress_bar(run)

    @admin.display(description="folders")
    def folders(self, run: SyncRun) -> str:
        """Done of all."""
        return f"{run.folders_done} of {run.folders_total}"

    @admin.display(description="messages")
    def fetched(self, run: SyncRun) -> str:
        """Done of those known."""
        return f"{run.messages_done} of {run.messages_total}"

    @admin.action(description="Cancel", permissions=["view"])
    def cancel(self, request: HttpRequest, chosen: QuerySet[SyncRun]) -> None:
        """End each within two seconds; what was fetched stays."""
        for run in chosen:
            cancel_sync(run)


@admin.register(Folder)
class FolderAdmin(ReadOnlyAdmin):
    list_display = ("path", "account", "role", "total", "unread", "failures", "failure")
    list_filter = ("role", "is_selectable")
    list_select_related = ("account",)
    search_fields = ("path", "account__email_address")
    exclude = ("checked_by",)
    actions = ("try_again",)

    @admin.action(description="Try again at the next sync", permissions=["view"])
    def try_again(self, request: HttpRequest, chosen: QuerySet[Folder]) -> None:
        """Forget how often they failed."""
        changed = chosen.update(failures=0, failed_at=None)
        messages.success(request, f"{changed} will be tried again.")


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """Found by the account's address or the Message-ID; the envelope is all that is shown."""

    list_display = (
        "subject",
        "sender_text",
        "account",
        "received_at",
        "size",
        "has_attachments",
        "body_state",
    )
    list_select_related = ("account",)
    list_filter = ("body_state", "has_attachments")
    search_fields = ("=message_id", "=account__email_address")
    search_help_text = "The whole Message-ID, or the whole address of the account"
    ordering = ("-pk",)
    list_per_page = 50
    fields = (
        "account",
        "subject",
        "sender_text",
        "recipient_text",
        "date",
        "received_at",
        "size",
        "message_id",
        "has_attachments",
        "body_state",
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows: QuerySet[Message] = super().get_queryset(request).defer("text", "snippet")
        return rows


@admin.register(SkippedMessage)
class SkippedMessageAdmin(ReadOnlyAdmin):
    list_display = ("folder", "uid", "tries", "last_tried_at", "reason")
    list_select_related = ("folder",)
    search_fields = ("folder__path", "folder__account__email_address", "reason")

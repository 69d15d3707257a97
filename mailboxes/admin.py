"""The admin's pages of mailboxes: that and how mail is fetched, never what it says.

Operators see a message's envelope alone: no text, no snippet, no attachment.
"""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from mailboxes import admin_drafts, admin_outbox  # noqa: F401 - they register their pages
from mailboxes.connections import refuse_unreadable
from mailboxes.models import (
    Folder,
    Mailbox,
    Message,
    SkippedMessage,
    SyncRun,
    SyncState,
    Watch,
    WatchState,
)
from mailboxes.sync.estimate import describe_progress
from mailboxes.sync.requesting import cancel_sync, request_sync
from mailhub.admin_lists import ReadOnlyAdmin, short_time
from mailhub.errors import MailhubError
from mailhub.templatetags.pages import say_duration

_SHOWN_OF_AN_ERROR = 120


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
    list_display = ("account", "owner", "is_enabled", "now", "last_sync", "news", "trouble")
    list_filter = ("is_enabled", "is_syncing", "tenant")
    list_select_related = ("tenant", "user", "watch")
    search_fields = ("email_address", "account_name", "hostname", "user__email")
    fields = (
        "account_name",
        "email_address",
        "user",
        "tenant",
        "hostname",
        "is_enabled",
        "last_sync_at",
        "news",
        "trouble",
    )
    actions = ("sync_now", "sync_fully")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mailbox]:
        active = Prefetch("sync_runs", SyncRun.objects.active(), to_attr="active_runs")
        newest = SyncRun.objects.filter(account=OuterRef("pk")).order_by("-created_at")
        rows: QuerySet[Mailbox] = super().get_queryset(request).prefetch_related(active)
        return rows.annotate(
            last_state=Subquery(newest.values("state")[:1]),
            last_error=Subquery(newest.values("error")[:1]),
        )

    @admin.display(description="account", ordering="email_address")
    def account(self, mailbox: Mailbox) -> SafeString:
        """Its name, address and server: several may have the same address."""
        return format_html(
            "{}<br><small>{}<br>{}</small>",
            mailbox.account_name,
            mailbox.email_address,
            mailbox.hostname,
        )

    @admin.display(description="owner", ordering="user__email")
    def owner(self, mailbox: Mailbox) -> SafeString:
        """Whose it is, and of which tenant."""
        return format_html("{}<br><small>{}</small>", mailbox.user, mailbox.tenant)

    @admin.display(description="last sync", ordering="last_sync_at")
    def last_sync(self, mailbox: Mailbox) -> str:
        """When a pass was last completed."""
        return short_time(mailbox.last_sync_at)

    @admin.display(description="now")
    def now(self, mailbox: Mailbox) -> SafeString | str:
        """The bar of the pass that is under way."""
        runs: list[SyncRun] = getattr(mailbox, "active_runs", [])
        return progress_bar(runs[0]) if runs else "–"

    @admin.display(description="new mail comes")
    def news(self, mailbox: Mailbox) -> str:
        """At once, or at the interval, and why; or not by itself."""
        if not mailbox.is_sync_enabled:
            return "when it is asked for"
        watch: Watch | None = getattr(mailbox, "watch", None)
        if watch is not None and watch.state == WatchState.WATCHING:
            return "at once"
        return f"at the interval. {watch.note}" if watch and watch.note else "at the interval"

    @admin.display(description="trouble")
    def trouble(self, mailbox: Mailbox) -> str:
        """Why it is disabled, or why its newest pass failed."""
        words = mailbox.disabled_reason
        if mailbox.is_enabled and getattr(mailbox, "last_state", "") == SyncState.FAILED:
            words = f"The last sync failed. {getattr(mailbox, 'last_error', '')}"
        return Truncator(words).chars(_SHOWN_OF_AN_ERROR) or "–"

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
    list_display = ("account", "state", "bar", "done", "trouble", "began")
    list_filter = ("state", "is_full")
    list_select_related = ("account",)
    search_fields = ("account__email_address", "error")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        "account",
        "state",
        "bar",
        "fetched",
        "folders_read",
        "current_folder",
        "error",
        "error_code",
        "is_full",
        "created_at",
        "started_at",
        "finished_at",
        "took",
    )
    actions = ("cancel",)

    @admin.display(description="progress")
    def bar(self, run: SyncRun) -> SafeString:
        """How far it is."""
        return progress_bar(run)

    @admin.display(description="done")
    def done(self, run: SyncRun) -> SafeString:
        """Messages and folders."""
        return format_html(
            "{}<br><small>{} folders</small>", self.fetched(run), self.folders_read(run)
        )

    @admin.display(description="folders")
    def folders_read(self, run: SyncRun) -> str:
        """Done of all."""
        return f"{run.folders_done} of {run.folders_total}"

    @admin.display(description="messages")
    def fetched(self, run: SyncRun) -> str:
        """Done of those known, and those that could not be fetched."""
        skipped = f", {run.messages_skipped:,} skipped" if run.messages_skipped else ""
        return f"{run.messages_done:,} of {run.messages_total:,}{skipped}"

    @admin.display(description="trouble")
    def trouble(self, run: SyncRun) -> str:
        """The beginning of why it failed."""
        return Truncator(run.error).chars(_SHOWN_OF_AN_ERROR) or "–"

    @admin.display(description="started", ordering="started_at")
    def began(self, run: SyncRun) -> SafeString:
        """When, and how long it took."""
        return format_html(
            "{}<br><small>took {}</small>", short_time(run.started_at), self.took(run)
        )

    @admin.display(description="took")
    def took(self, run: SyncRun) -> str:
        """From its start to its end."""
        if run.started_at is None or run.finished_at is None:
            return "–"
        return say_duration((run.finished_at - run.started_at).total_seconds())

    @admin.action(description="Cancel", permissions=["view"])
    def cancel(self, request: HttpRequest, chosen: QuerySet[SyncRun]) -> None:
        """End each within two seconds; what was fetched stays."""
        for run in chosen:
            cancel_sync(run)


@admin.register(Folder)
class FolderAdmin(ReadOnlyAdmin):
    list_display = ("path", "account", "role", "total", "unread", "failures", "failure")
    fields = (
        "account",
        "path",
        "role",
        "is_selectable",
        "total",
        "unread",
        "failures",
        "failed_at",
        "failure",
        "uid_validity",
        "uid_next",
        "highest_modseq",
        "server_total",
    )
    list_filter = ("role", "is_selectable")
    list_select_related = ("account",)
    search_fields = ("path", "account__email_address")
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
        "title",
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

    @admin.display(description="subject", ordering="subject")
    def title(self, message: Message) -> str:
        """What the message is called, which some are not."""
        return str(message)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows: QuerySet[Message] = super().get_queryset(request).defer("text", "snippet")
        return rows


@admin.register(SkippedMessage)
class SkippedMessageAdmin(ReadOnlyAdmin):
    list_display = ("folder", "uid", "tries", "last_tried_at", "reason")
    list_select_related = ("folder",)
    search_fields = ("folder__path", "folder__account__email_address", "reason")

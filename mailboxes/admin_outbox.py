"""The admin's pages of messages on their way out: envelopes and outcomes, never what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from mailboxes.models import DeadLetter, OutboxLane, OutboxMessage, OutboxState, SendAttempt
from mailboxes.outbox.deciding import cancel, drop_dead_letter, retry
from mailhub.admin_lists import ReadOnlyAdmin, short_time
from mailhub.errors import Conflict
from mailhub.generic_bases import TabularInline
from mailhub.templatetags.pages import count

_SHOWN_OF_A_REPLY = 100
_SHOWN_PEOPLE = 2
_MESSAGES = "message,messages"


def people_words(addresses: Iterable[str]) -> str:
    """The first of them, and how many more there are."""
    known = list(addresses)
    more = f" and {len(known) - _SHOWN_PEOPLE} more" if len(known) > _SHOWN_PEOPLE else ""
    return ", ".join(known[:_SHOWN_PEOPLE]) + more


def envelope(message: OutboxMessage) -> SafeString:
    """What it is called, whom it is from and whom it is for."""
    return format_html(
        "{}<br><small>from {}<br>to {}</small>",
        Truncator(message.subject or "(no subject)").chars(80),
        message.sender or "nobody",
        people_words(message.recipients),
    )


def last_word(text: str) -> str:
    """The beginning of what a server said."""
    return Truncator(text).chars(_SHOWN_OF_A_REPLY) or "–"


def carry_out(
    request: HttpRequest,
    chosen: Iterable[OutboxMessage],
    act: Callable[[OutboxMessage], None],
    done: str,
) -> None:
    """Do it to each, and say how many there were and what was in the way of the others."""
    changed, problems = 0, []
    for message in chosen:
        try:
            act(message)
        except Conflict as refusal:
            words = refusal.message
            if message.state == OutboxState.UNCERTAIN:
                words = "somebody may have got it already; its sender decides, in the delivery log"
            problems.append(f"{message.message_id}: {words}")
        else:
            changed += 1
    if changed:
        messages.success(request, done.format(count(changed, _MESSAGES)))
    for problem in problems:
        messages.error(request, problem)


class OutcomeAdmin(ReadOnlyAdmin):
    """What came of sending, newest first; a page of it is quick in a table of millions."""

    ordering = ("-pk",)
    list_per_page = 50


class SendAttemptInline(TabularInline):
    model = SendAttempt
    ordering = ("number",)
    fields = readonly_fields = ("number", "ended_at", "result", "code", "reply")
    can_delete = False
    extra = 0
    verbose_name_plural = "tries"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(OutboxMessage)
class OutboxMessageAdmin(OutcomeAdmin):
    """Found by the whole Message-ID, the account's address, or a part of a recipient's."""

    list_display = ("message", "outcome", "sent_by", "reply_words", "written")
    list_display_links = ("message",)
    list_filter = ("state", "created_at", "tenant")
    list_select_related = ("account", "user", "tenant")
    search_fields = ("=message_id", "=account__email_address", "recipients")
    search_help_text = "The whole Message-ID or account's address, or a part of a recipient's"
    fields = (
        "message",
        "state",
        "sent_by",
        "message_id",
        "accepted",
        "refused",
        "outstanding",
        "reply",
        "error_code",
        "provider_id",
        "tries",
        "size",
        "send_at",
        "next_try_at",
        "worker",
        "has_begun",
        "copy_due_at",
        "copy_tries",
        "created_at",
        "finished_at",
    )
    inlines = (SendAttemptInline,)
    actions = ("send_again", "cancel")

    @admin.display(description="message", ordering="subject")
    def message(self, message: OutboxMessage) -> SafeString:
        """Subject, sender and recipients."""
        return envelope(message)

    @admin.display(description="sent by")
    def sent_by(self, message: OutboxMessage) -> SafeString:
        """Which account, or the default sender; and who asked for it."""
        way = message.account.email_address if message.account else "the default sender"
        return format_html("{}<br><small>{}, {}</small>", way, message.user, message.tenant)

    @admin.display(description="last word")
    def reply_words(self, message: OutboxMessage) -> str:
        """The server's, or ours where it said nothing."""
        return last_word(message.reply)

    @admin.display(description="state", ordering="state")
    def outcome(self, message: OutboxMessage) -> SafeString:
        """With how often it was tried, and when it is again."""
        tries = count(message.tries, "try,tries")
        if message.next_try_at is None:
            return format_html("{}<br><small>{}</small>", message.state, tries)
        due = short_time(message.next_try_at)
        return format_html("{}<br><small>{}<br>due {}</small>", message.state, tries, due)

    @admin.display(description="written", ordering="pk")
    def written(self, message: OutboxMessage) -> str:
        """When somebody had it sent."""
        return short_time(message.created_at)

    @admin.action(description="Send again, unless somebody may have got it", permissions=["view"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[OutboxMessage]) -> None:
        """Queue those again that nobody got."""
        carry_out(request, chosen, retry, "{} queued again.")

    @admin.action(description="Cancel", permissions=["view"])
    def cancel(self, request: HttpRequest, chosen: QuerySet[OutboxMessage]) -> None:
        """Those that have not begun to leave shall not."""
        carry_out(request, chosen, cancel, "{} cancelled.")


@admin.register(SendAttempt)
class SendAttemptAdmin(OutcomeAdmin):
    list_display = ("of_message", "number", "result", "reply_words", "ended")
    list_display_links = ("of_message",)
    list_filter = ("result", "ended_at")
    list_select_related = ("message",)
    search_fields = ("=message__message_id", "reply")
    search_help_text = "The whole Message-ID, or a part of what the server said"
    fields = ("of_message", "number", "result", "code", "reply", "ended_at")

    @admin.display(description="message")
    def of_message(self, attempt: SendAttempt) -> SafeString:
        """Which one was tried."""
        return envelope(attempt.message)

    @admin.display(description="last word")
    def reply_words(self, attempt: SendAttempt) -> str:
        """The beginning of it."""
        return last_word(attempt.reply)

    @admin.display(description="ended", ordering="ended_at")
    def ended(self, attempt: SendAttempt) -> str:
        """When the server had answered, or was given up."""
        return short_time(attempt.ended_at)


@admin.register(DeadLetter)
class DeadLetterAdmin(OutcomeAdmin):
    list_display = ("of_message", "tenant", "reason_words", "since")
    list_display_links = ("of_message",)
    list_filter = ("created_at", "message__state", "message__tenant")
    list_select_related = ("message__tenant",)
    search_fields = ("=message__message_id", "message__recipients", "reason")
    search_help_text = "The whole Message-ID, or a part of a recipient's address or of the reason"
    fields = ("of_message", "tenant", "tries", "reason", "created_at", "copied_at")
    actions = ("requeue", "drop")

    @admin.display(description="message")
    def of_message(self, letter: DeadLetter) -> SafeString:
        """Which one nobody got."""
        return envelope(letter.message)

    @admin.display(description="tenant")
    def tenant(self, letter: DeadLetter) -> str:
        """Whose it is."""
        return str(letter.message.tenant)

    @admin.display(description="tries")
    def tries(self, letter: DeadLetter) -> int:
        """How often it was tried."""
        return letter.message.tries

    @admin.display(description="since", ordering="pk")
    def since(self, letter: DeadLetter) -> SafeString:
        """When it was given up, after how many tries."""
        tries = count(letter.message.tries, "try,tries")
        return format_html("{}<br><small>{}</small>", short_time(letter.created_at), tries)

    @admin.display(description="reason")
    def reason_words(self, letter: DeadLetter) -> str:
        """The beginning of it."""
        return last_word(letter.reason)

    @admin.action(description="Requeue", permissions=["view"])
    def requeue(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> None:
        """Have them sent again."""
        carry_out(request, [letter.message for letter in chosen], retry, "{} queued again.")

    @admin.action(description="Delete, with the message’s text", permissions=["view"])
    def drop(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> None:
        """Nothing more is to be done about them."""
        letters = list(chosen)
        for letter in letters:
            drop_dead_letter(letter)
        messages.success(request, f"{count(len(letters), 'dead letter,dead letters')} deleted.")


@admin.register(OutboxLane)
class OutboxLaneAdmin(ReadOnlyAdmin):
    """Whose messages leave in order, when the next one does, and which worker is about it."""

    list_display = ("sender", "tenant", "due_at", "worker", "leased_until")
    list_display_links = ("sender",)
    list_filter = ("due_at", "leased_until", "tenant")
    list_select_related = ("account", "tenant")
    search_fields = ("=account__email_address", "worker")
    ordering = ("due_at",)
    fields = ("sender", "tenant", "due_at", "worker", "leased_until")

    @admin.display(description="sender", ordering="account__email_address")
    def sender(self, lane: OutboxLane) -> str:
        """The account, or the default sender."""
        return lane.account.email_address if lane.account else "the default sender"

"""Pages of the delivery log: what is on its way, what became of it, and one message whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.pages import PageRequest, page
from mailboxes.models import DeliveryReport, OutboxContent, OutboxMessage, OutboxState
from mailboxes.models.outbox_message import WAITING
from mailboxes.outbox.deciding import may_be_sent_again
from mailboxes.pages.account_states import readable_accounts
from mailboxes.pages.delivery_lists import (
    DEAD_LETTERS,
    LOG,
    MOST_COUNTED,
    OUTBOX,
    SCHEDULED,
    Shelf,
    count_shelves,
    decidable,
    find_delivery_place,
    is_moving,
    read_delivery_page,
)
from mailhub.errors import NotFound
from mailhub.mail.bounce import Verdict

_EDITED_AGAIN = (*WAITING, OutboxState.CANCELLED, OutboxState.FAILED, OutboxState.DEAD)
_FATES = {
    OutboxState.UNCERTAIN: ("Unknown", "warn"),
    OutboxState.CANCELLED: ("Not sent", ""),
    OutboxState.SENDING: ("Sending", "working"),
}

_MEANINGS = {
    Verdict.HARD: ("No such address", "bad"),
    Verdict.SOFT: ("Given up", "bad"),
    Verdict.UNCLEAR: ("Given up, why is not told", "bad"),
    Verdict.POLICY: ("Not wanted there", "bad"),
    Verdict.CONTENT: ("Too large or badly made", "bad"),
    Verdict.SENDER: ("The sender’s address is at fault", "bad"),
    Verdict.DELAYED: ("Delayed, still being tried", "warn"),
    Verdict.DELIVERED: ("Delivered", "good"),
    Verdict.RELAYED: ("Passed on", "good"),
    Verdict.EXPANDED: ("Passed on to several", "good"),
    Verdict.AUTO_REPLY: ("Answered automatically", ""),
    Verdict.COMPLAINT: ("Reported as spam", "bad"),
    Verdict.OPT_OUT: ("Wants no more", "warn"),
    Verdict.NOT_SPAM: ("Reported as no spam", "good"),
    Verdict.AUTH_FAILURE: ("Failed authentication", "warn"),
    Verdict.OTHER_FEEDBACK: ("Other feedback", ""),
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whether a server took the message for somebody, and what it said where it did not."""

    address: str
    fate: str
    colour: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class CameBack:
    """What one report says of one recipient."""

    address: str
    meaning: str
    colour: str
    words: str
    when: datetime


@require_safe
@page(scope="mail")
def show_log(request: PageRequest) -> HttpResponse:
    """Every message, whatever became of it."""
    return _show(request, LOG)


@require_safe
@page(scope="mail")
def show_outbox(request: PageRequest) -> HttpResponse:
    """What is on its way, or got stuck there."""
    return _show(request, OUTBOX)


@require_safe
@page(scope="mail")
def show_scheduled(request: PageRequest) -> HttpResponse:
    """What leaves later, the next one first."""
    return _show(request, SCHEDULED)


@require_safe
@page(scope="mail")
def show_dead_letters(request: PageRequest) -> HttpResponse:
    """What nobody got, and why."""
    return _show(request, DEAD_LETTERS)


@require_safe
@page(scope="mail")
def show_message(request: PageRequest, message_id: int) -> HttpResponse:
    """One message: whom it reached, every try, what came back, and what may be done."""
    found = OutboxMessage.objects.for_caller(request.caller).filter(pk=message_id)
    message = found.select_related("account", "dead_letter", "user").first()
    if message is None:
        raise NotFound("There is no such message.")
    context = {
        "message": message,
        "recipients": recipients_of(message),
        "attempts": message.attempts.order_by("number"),
        "reports": [_came_back(report) for report in message.reports.order_by("received_at")],
        "is_moving": is_moving(message),
        "decisions": decisions_about(request, message),
    }
    return render(request, "mailboxes/delivery/message.html", context)


def _came_back(report: DeliveryReport) -> CameBack:
    meaning, colour = _MEANINGS[Verdict(report.verdict)]
    return CameBack(report.recipient, meaning, colour, report.reason, report.received_at)


def recipients_of(message: OutboxMessage) -> list[Recipient]:
    """Each of the envelope, in its order."""
    return [_recipient(message, address) for address in message.recipients]


def decisions_about(request: PageRequest, message: OutboxMessage) -> set[str]:
    """What whoever asks may do: cancel, retry, send-again (in doubt), mark-sent, delete, edit."""
    if not decidable(request.caller, [message.pk]):
        return set()
    is_here = message.state == OutboxState.SENDING and not message.has_begun
    has_content = OutboxContent.objects.filter(pk=message.pk).exists()
    is_uncertain = message.state == OutboxState.UNCERTAIN
    offered = {
        "cancel": message.is_waiting or is_here,
        "retry": has_content and may_be_sent_again(message),
        "send-again": has_content and is_uncertain,
        "mark-sent": is_uncertain,
        "delete": hasattr(message, "dead_letter"),
        "edit": message.account is not None and has_content and message.state in _EDITED_AGAIN,
    }
    return {name for name, is_offered in offered.items() if is_offered}


def _recipient(message: OutboxMessage, address: str) -> Recipient:
    if address in message.bounced:
        return Recipient(address, "Came back", "bad", message.bounced[address])
    if address in message.refused:
        return Recipient(address, "Refused", "bad", message.refused[address])
    if address in message.accepted:
        return Recipient(address, "Accepted", "good")
    return Recipient(address, *_FATES.get(OutboxState(message.state), ("Waiting", "working")))


def _show(request: PageRequest, shelf: Shelf) -> HttpResponse:
    place = find_delivery_place(request.caller, shelf, request.GET)
    context: dict[str, Any] = {
        "place": place,
        "page": read_delivery_page(request.caller, place),
        "shelves": count_shelves(request.caller),
        "most_counted": MOST_COUNTED,
        "accounts": readable_accounts(request.caller),
    }
    return render(request, "mailboxes/delivery/list.html", context)

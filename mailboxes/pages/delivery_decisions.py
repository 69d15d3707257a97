"""What a person decides about messages on their way out: one form for one or for several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_http_methods, require_POST

from accounts.pages import PageRequest, page
from mailboxes.models import DeadLetter, OutboxMessage, OutboxState
from mailboxes.outbox.deciding import cancel, drop_dead_letter, mark_sent, retry
from mailboxes.pages.acting import read_ids
from mailboxes.pages.delivery_lists import LINES_A_PAGE, decidable
from mailhub.errors import Conflict, InvalidInput, NotFound
from mailhub.templatetags.pages import count

_MESSAGES = "message,messages"


@dataclass(frozen=True, slots=True)
class Decision:
    """`done` says what was done to how many. `asks`: a person is asked first, whatever they are."""

    name: str
    carry_out: Callable[[PageRequest, OutboxMessage], None]
    done: str
    asks: bool = True


def _drop(_request: PageRequest, message: OutboxMessage) -> None:
    letter = DeadLetter.objects.filter(message=message).first()
    if letter is not None:
        drop_dead_letter(letter)


def _mark_sent(request: PageRequest, message: OutboxMessage) -> None:
    mark_sent(message, by=request.caller.user.get_username())


_DECISIONS = {
    decision.name: decision
    for decision in (
        Decision("cancel", lambda _, message: cancel(message), "{} cancelled."),
        Decision("retry", lambda _, message: retry(message), "{} queued again.", asks=False),
        Decision(
            "send-again",
            lambda _, message: retry(message, may_duplicate=True),
            "{} queued again.",
        ),
        Decision("mark-sent", _mark_sent, "{} now counted as sent."),
        Decision("delete", _drop, "{} deleted."),
    )
}


@require_POST
@page(scope="mail")
def decide(request: PageRequest) -> HttpResponse:
    """Do what the button says, or ask first, and return to where it was pressed."""
    decision, ids = _asked_for(request)
    if not ids:
        messages.error(request, "Choose messages first.")
        return _return(request)
    chosen = _find(request, ids)
    if decision.name == "retry" and _any_uncertain(chosen):
        decision = _DECISIONS["send-again"]
    if decision.asks:
        query: dict[str, Any] = {"act": decision.name, "ids": ids, "next": _next(request)}
        return redirect(f"{reverse('ask-delivery')}?{urlencode(query, doseq=True)}")
    return _carry_out(request, decision, chosen)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="mail", writes=True)
def ask(request: PageRequest) -> HttpResponse:
    """Asks once, naming how many messages and what it means; then does it."""
    decision, ids = _asked_for(request)
    chosen = _find(request, ids)
    if request.method == "POST":
        return _carry_out(request, decision, chosen)
    context = {
        "act": decision.name,
        "chosen": chosen,
        "uncertain": sum(message.state == OutboxState.UNCERTAIN for message in chosen),
        "next": _next(request),
    }
    return render(request, "mailboxes/delivery/ask.html", context)


def _carry_out(
    request: PageRequest, decision: Decision, chosen: Sequence[OutboxMessage]
) -> HttpResponse:
    problems = []
    for message in chosen:
        try:
            decision.carry_out(request, message)
        except Conflict as refusal:
            problems.append(refusal.message)
    changed = len(chosen) - len(problems)
    if changed:
        messages.success(request, decision.done.format(count(changed, _MESSAGES)))
    if problems:
        of = "" if len(chosen) == 1 else f"{len(problems)} of {count(len(chosen), _MESSAGES)}: "
        messages.error(request, of + " ".join(dict.fromkeys(problems)))
    return _return(request)


def _asked_for(request: PageRequest) -> tuple[Decision, list[int]]:
    given = request.POST if request.method == "POST" else request.GET
    decision = _DECISIONS.get(given.get("act", ""))
    if decision is None:
        raise InvalidInput("There is no such thing to do.")
    return decision, read_ids(given.getlist("ids")[:LINES_A_PAGE])


def _find(request: PageRequest, ids: Sequence[int]) -> list[OutboxMessage]:
    """Those about which the caller may decide. Raises NotFound where there is none of them."""
    mine = decidable(request.caller, ids)
    rows = OutboxMessage.objects.for_caller(request.caller).filter(pk__in=mine)
    found = list(rows.order_by("-pk"))
    if not found:
        raise NotFound("There is no such message, or you may not decide about it.")
    return found


def _any_uncertain(chosen: Sequence[OutboxMessage]) -> bool:
    return any(message.state == OutboxState.UNCERTAIN for message in chosen)


def _return(request: PageRequest) -> HttpResponse:
    response = HttpResponseRedirect(_next(request))
    response.status_code = 303
    return response


def _next(request: PageRequest) -> str:
    """An address of this site beneath /delivery."""
    given: Any = request.POST.get("next") or request.GET.get("next") or ""
    is_safe = url_has_allowed_host_and_scheme(given, allowed_hosts=None)
    fits = is_safe and given.startswith("/delivery")
    return str(given) if fits else reverse("delivery-log")

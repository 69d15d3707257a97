"""The page of a person's accounts: how each does, sync now, cancel."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import PageRequest, page
from mailboxes.api.accounts import readable_account
from mailboxes.composing import may_compose
from mailboxes.connections import refuse_unreadable
from mailboxes.models import SyncRun
from mailboxes.pages.account_states import account_states, readable_accounts
from mailboxes.sync.requesting import cancel_sync, request_sync
from mailhub.errors import Conflict


@require_safe
@page(scope="mail")
def list_accounts(request: PageRequest) -> HttpResponse:
    """The accounts whose mail the caller may read, and how they do."""
    return _render_accounts(request, "mailboxes/accounts.html")


@require_safe
@page(scope="mail")
def accounts_now(request: PageRequest) -> HttpResponse:
    """The moving part of that page."""
    return _render_accounts(request, "mailboxes/account_cards.html")


@require_POST
@page(scope="mail")
def sync_now(request: PageRequest, account_id: UUID) -> HttpResponse:
    """Ask for a pass over an account."""
    account = readable_account(request.caller, account_id)
    try:
        refuse_unreadable(account)
        request_sync(account)
    except Conflict as refusal:
        messages.error(request, refusal.message)
    return redirect("mail")


@require_POST
@page(scope="mail")
def cancel(request: PageRequest, account_id: UUID) -> HttpResponse:
    """End the pass that is under way; what was fetched stays."""
    account = readable_account(request.caller, account_id)
    run = SyncRun.objects.active().filter(account=account).first()
    if run is not None:
        cancel_sync(run)
    return redirect("mail")


def _render_accounts(request: PageRequest, template: str) -> HttpResponse:
    states = account_states(request.caller, readable_accounts(request.caller))
    context = {
        "states": states,
        "is_running": any(state.is_running for state in states),
        "may_compose": may_compose(request.caller),
    }
    return render(request, template, context)

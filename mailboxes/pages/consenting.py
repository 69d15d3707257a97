"""Connecting an account by a provider's consent page, and connecting one again.

The way back is the same for people at these pages and for those whom a client of the API has
sent: it is registered with the provider once.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import ConsentRequest, EmailAccount
from accounts.oauth2.connecting import Connected, connect_account, explain_refusal
from accounts.oauth2.consent import (
    address_back,
    ask_for_consent,
    asked_by_client,
    hand_over,
    take_answer,
)
from accounts.oauth2.providers import OAuth2Provider, get_provider
from accounts.pages import PageRequest, error_page, page
from mailboxes.sync.requesting import request_sync
from mailhub.api.errors import as_mailhub_error
from mailhub.errors import Conflict, InvalidInput, MailhubError
from mailhub.mail.errors import MailError

_NOT_KNOWN = (
    "This answer belongs to no request of yours that is still open: it was used before, or more "
    "than ten minutes have passed. Begin again."
)


@require_http_methods(["GET"])
@page(scope="mail", writes=True)
def set_out(request: PageRequest, provider: str) -> HttpResponse:
    """Send the person to the provider; `?account=` names one that is to be connected again."""
    known = get_provider(provider)
    account = None
    if "account" in request.GET:
        account = EmailAccount.objects.get_for_change(request.caller, request.GET["account"])
    departure = ask_for_consent(
        request.caller,
        known,
        session_key=request.session.session_key or "",
        account=account,
        email=request.GET.get("email", "").strip()[:320],
    )
    return redirect(departure.url)


@require_http_methods(["GET"])
@never_cache
def come_back(request: HttpRequest, provider: str) -> HttpResponseBase:
    """The provider's answer: a code, or an error (RFC 6749 section 4.1.2)."""
    try:
        known = get_provider(provider)
        row = asked_by_client(known.key, request.GET.get("state", ""))
        if row is not None:
            return _back_to_client(request, known, row)
    except MailhubError as error:
        return error_page(request, error)
    if not request.user.is_authenticated:
        return error_page(request, InvalidInput(_NOT_KNOWN, code="unknown_state"))
    return _back_to_pages(request, known)


def _back_to_client(
    request: HttpRequest, provider: OAuth2Provider, row: ConsentRequest
) -> HttpResponse:
    code, error = request.GET.get("code", ""), request.GET.get("error", "")
    if not code:
        row.delete()
        words = {
            "error": error[:100] or "invalid_request",
            "message": explain_refusal(provider, error),
        }
        return redirect(address_back(row, **words))
    ours = hand_over(row, code)
    if ours is None:
        raise Conflict(_NOT_KNOWN, code="unknown_state")
    return redirect(address_back(row, code=ours))


@page(scope="mail", writes=True)
def _back_to_pages(request: PageRequest, provider: OAuth2Provider) -> HttpResponse:
    session_key = request.session.session_key or ""
    state = request.GET.get("state", "")
    row = take_answer(request.caller, provider.key, state, session_key)
    if row is None:
        return _tell(request, _NOT_KNOWN)
    again = row.account
    code = request.GET.get("code", "")
    if not code:
        words = explain_refusal(provider, request.GET.get("error", ""))
        return _tell(request, words, account=again)
    try:
        connected = connect_account(request.caller, row, code)
    except (MailError, MailhubError) as error:
        explained = as_mailhub_error(error)
        assert explained is not None, "both are expected"
        return _tell(request, explained.message, account=again)
    return _welcome(request, connected)


def _welcome(request: PageRequest, connected: Connected) -> HttpResponse:
    account, outgoing = connected.account, connected.verification.outgoing
    request_sync(account)
    again = "" if connected.is_new else " again"
    messages.success(request, f"{account.email_address} is connected{again}.")
    if outgoing is not None and not outgoing.works:
        messages.error(request, f"It can be read, but nothing can be sent yet. {outgoing.message}")
    return redirect("mail")


def _tell(
    request: PageRequest, problem: str, *, account: EmailAccount | None = None
) -> HttpResponse:
    """On the page from which the person set out, so that a reload asks nobody anything again."""
    messages.error(request, problem)
    return redirect("mail" if account is not None else "connect-account")

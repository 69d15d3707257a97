"""Pages that belong to the house and to no app."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader

from accounts.models import EmailAccount
from accounts.pages import PageRequest, page
from mailhub.api.errors import json_error, wants_json


@page(scope=None)
def home(request: PageRequest) -> HttpResponse:
    """What runs now, what needs attention, and what a newcomer does next."""
    caller = request.caller
    mine = EmailAccount.objects.for_caller(caller)
    seen = EmailAccount.objects.in_tenant_of(caller) if caller.is_admin else mine
    return render(
        request,
        "home.html",
        {
            "has_account": mine.exists(),
            "disabled_accounts": seen.filter(is_enabled=False).order_by("email_address")[:20],
        },
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django names it
    """400 for what no view saw, such as a host name that is not this site's."""
    if wants_json(request):
        return json_error("invalid", "This request is not valid.", 400)
    return HttpResponse("This request is not valid.", "text/plain; charset=utf-8", 400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 in the API's shape under /api/, as a page elsewhere."""
    if wants_json(request):
        return json_error("not_found", "There is nothing here.", 404)
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 in the API's shape under /api/, as a page elsewhere, which needs no database."""
    if wants_json(request):
        return json_error("internal_error", "Something went wrong here.", 500)
    return HttpResponse(loader.get_template("500.html").render(), status=500)

"""The page of the sender check."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.pages import PageRequest, page
from campaigns.models import Campaign
from campaigns.sender_check import check_sender
from mailhub.errors import InvalidInput

_LONGEST = 320


@require_safe
@page(scope="campaigns")
def show_sender_check(request: PageRequest) -> HttpResponse:
    """Asks for an address, and says what is to be mended before mail is sent from it."""
    asked = request.GET.get("from", "").strip()[:_LONGEST]
    campaign = _campaign(request)
    context: dict[str, Any] = {"asked": asked, "campaign": campaign}
    if asked:
        try:
            context["found"] = check_sender(request.caller, asked, campaign)
        except InvalidInput as error:
            context["problem"] = error.details["fields"]["from"][0]
    status = 400 if "problem" in context else 200
    return render(request, "campaigns/sender_check.html", context, status=status)


def _campaign(request: PageRequest) -> Campaign | None:
    """The one from whose composer somebody asks."""
    named = request.GET.get("campaign", "")
    return Campaign.objects.for_caller(request.caller).filter(campaign_id=named).first()

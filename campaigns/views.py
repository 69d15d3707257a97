"""Pages about campaigns: the list, one campaign as it goes, pause, resume, cancel."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, page
from campaigns.lifecycle import cancel_campaign, pause_campaign, resume_campaign
from campaigns.models import Campaign, CampaignStatus
from campaigns.progress import measure_progress, measure_progress_of
from mailhub.api.pagination import page_after, write_cursor
from mailhub.errors import Conflict

CAMPAIGNS_A_PAGE = 20


@require_safe
@page(scope="campaigns")
def list_campaigns(request: PageRequest) -> HttpResponse:
    """The tenant's campaigns, newest first; `?status=` narrows them."""
    campaigns = Campaign.objects.for_caller(request.caller)
    wanted = request.GET.get("status", "")
    if wanted in CampaignStatus.values:
        campaigns = campaigns.filter(status=wanted)
    else:
        wanted = ""
    cursor = request.GET.get("cursor")
    rows = page_after(campaigns, "-pk", cursor, CAMPAIGNS_A_PAGE + 1)
    older = ""
    if len(rows) > CAMPAIGNS_A_PAGE:
        rows = rows[:CAMPAIGNS_A_PAGE]
        narrowed = {"status": wanted} if wanted else {}
        older = urlencode({**narrowed, "cursor": write_cursor("-pk", rows[-1].pk, rows[-1].pk)})
    progress = measure_progress_of(rows)
    return render(
        request,
        "campaigns/list.html",
        {
            "rows": [(campaign, progress[campaign.pk]) for campaign in rows],
            "statuses": CampaignStatus.values,
            "wanted": wanted,
            "older": older,
            "is_first_page": not cursor,
        },
    )


@require_safe
@page(scope="campaigns")
def show_campaign(request: PageRequest, campaign_id: str) -> HttpResponse:
    """How a campaign goes, and in the end how it went."""
    campaign = _find(request, campaign_id)
    context = {"campaign": campaign, "progress": measure_progress(campaign)}
    return render(request, "campaigns/show.html", context)


@require_safe
@page(scope="campaigns")
def show_measures(request: PageRequest, campaign_id: str) -> HttpResponse:
    """The moving part of the page, asked for every 2 s.

    The request says what is shown. Where the status is another one, the whole is answered;
    where only numbers moved, failures are left out unless there are new ones, so that a
    person may read and mark them in peace.
    """
    campaign = _find(request, campaign_id)
    progress = measure_progress(campaign)
    context = {"campaign": campaign, "progress": progress}
    if request.GET.get("status") != progress.status:
        response = render(request, "campaigns/whole.html", context)
        response["HX-Retarget"] = "#campaign"
        return response
    context["brings_failures"] = request.GET.get("failed") != str(progress.failed)
    return render(request, "campaigns/measures.html", context)


@require_POST
@page(scope="campaigns")
def pause(request: PageRequest, campaign_id: str) -> HttpResponse:
    """No more messages after those on their way; it can be resumed."""
    campaign = _find(request, campaign_id)
    try:
        pause_campaign(campaign)
    except Conflict as refusal:
        messages.error(request, refusal.message)
    return redirect("campaign", campaign_id)


@require_POST
@page(scope="campaigns")
def resume(request: PageRequest, campaign_id: str) -> HttpResponse:
    """Go on where it was paused."""
    campaign = _find(request, campaign_id)
    try:
        resume_campaign(campaign)
    except Conflict as refusal:
        messages.error(request, refusal.message)
    return redirect("campaign", campaign_id)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def cancel(request: PageRequest, campaign_id: str) -> HttpResponse:
    """Asks once, naming how many will get nothing, then cancels for good."""
    campaign = _find(request, campaign_id)
    if request.method == "POST":
        try:
            cancel_campaign(campaign)
        except Conflict as refusal:
            messages.error(request, refusal.message)
        return redirect("campaign", campaign_id)
    progress = measure_progress(campaign)
    if campaign.is_over:
        return redirect("campaign", campaign_id)
    context = {"campaign": campaign, "progress": progress}
    return render(request, "campaigns/cancel.html", context)


def _find(request: PageRequest, campaign_id: str) -> Campaign:
    campaigns = Campaign.objects.for_caller(request.caller)
    return get_object_or_404(campaigns, campaign_id=campaign_id)

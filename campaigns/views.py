"""Pages about campaigns: the list, one campaign as it goes, and what a person decides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, page
from campaigns.lifecycle import cancel_campaign, pause_campaign, resume_campaign
from campaigns.links.listing import links_of
from campaigns.models import Campaign, CampaignStatus
from campaigns.progress import Progress, measure_progress, measure_progress_of
from campaigns.pulses import pace_of
from campaigns.report import reasons_of
from campaigns.resolving import (
    Retried,
    mark_uncertain_sent,
    needs_password,
    resend_uncertain,
    retry_failed,
)
from mailhub.api.pagination import page_after, write_cursor
from mailhub.errors import Conflict, InvalidInput
from mailhub.templatetags.pages import count

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
    is_writer = request.caller.may("campaigns", write=True)
    if campaign.status == CampaignStatus.DRAFT and is_writer:
        return redirect("compose-campaign", campaign_id)
    context = {**_moving(campaign), **_report(campaign)}
    return render(request, "campaigns/show.html", context)


@require_safe
@page(scope="campaigns")
def show_measures(request: PageRequest, campaign_id: str) -> HttpResponse:
    """The moving part of the page, asked for every 2 s.

    The request says what is shown. Where the status is another one, the whole is answered;
    where only numbers moved, failures and what is said of trouble are left out unless there is
    something new, so that a person may read and mark them in peace.
    """
    campaign = _find(request, campaign_id)
    context = _moving(campaign)
    progress: Progress = context["progress"]
    if request.GET.get("status") != progress.shown_status:
        response = render(request, "campaigns/whole.html", {**context, **_report(campaign)})
        response["HX-Retarget"] = "#campaign"
        return response
    context["brings_words"] = request.GET.get("words", "") != context["words_mark"]
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


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def resend(request: PageRequest, campaign_id: str) -> HttpResponse:
    """Asks once, naming how many are uncertain, then sends to them again."""
    campaign = _find(request, campaign_id)
    password = request.POST.get("smtp_password", "")
    return _decide(
        request,
        campaign,
        template="campaigns/resend.html",
        number=measure_progress(campaign).uncertain,
        act=lambda: (
            f"{_people(resend_uncertain(campaign, password=password))} "
            "will be sent the message again."
        ),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def mark_sent(request: PageRequest, campaign_id: str) -> HttpResponse:
    """Asks once, naming how many are uncertain, then counts them as sent."""
    campaign = _find(request, campaign_id)
    by = request.caller.user.get_username()
    return _decide(
        request,
        campaign,
        template="campaigns/mark_sent.html",
        number=measure_progress(campaign).uncertain,
        act=lambda: f"{_people(mark_uncertain_sent(campaign, by=by))} now counted as sent.",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="campaigns", writes=True)
def retry(request: PageRequest, campaign_id: str) -> HttpResponse:
    """Asks once, naming how many failed, then tries them again."""
    campaign = _find(request, campaign_id)
    password = request.POST.get("smtp_password", "")
    return _decide(
        request,
        campaign,
        template="campaigns/retry.html",
        number=measure_progress(campaign).failed,
        act=lambda: _say_retried(retry_failed(campaign, password=password)),
    )


def _people(number: int) -> str:
    return count(number, "recipient,recipients")


def _say_retried(retried: Retried) -> str:
    words = f"{_people(retried.queued)} will be tried again."
    if retried.left:
        words += f" {_people(retried.left)} may not be written to any more, and stay failed."
    return words


def _decide(
    request: PageRequest,
    campaign: Campaign,
    *,
    template: str,
    number: int,
    act: Callable[[], str],
) -> HttpResponse:
    """The question on GET; on POST the deed, which says what it did, or what was wrong."""
    if not number and request.method != "POST":
        return redirect("campaign", campaign.campaign_id)
    problem = ""
    if request.method == "POST":
        try:
            messages.success(request, act())
            return redirect("campaign", campaign.campaign_id)
        except Conflict as refusal:
            messages.error(request, refusal.message)
            return redirect("campaign", campaign.campaign_id)
        except InvalidInput as refusal:
            problem = refusal.message
    context = {
        "campaign": campaign,
        "number": number,
        "needs_password": needs_password(campaign),
        "problem": problem,
    }
    return render(request, template, context, status=400 if problem else 200)


def _moving(campaign: Campaign) -> dict[str, Any]:
    """What changes while a campaign goes; `words_mark` with what is said of its trouble."""
    progress = measure_progress(campaign)
    troubles = campaign.senders.values_list("trouble", flat=True)
    words = (progress.last_error, str(progress.resumes_at or ""), *troubles)
    mark = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16] if any(words) else ""
    return {"campaign": campaign, "progress": progress, "words_mark": mark}


def _report(campaign: Campaign) -> dict[str, Any]:
    """What the page shows beside the moving numbers."""
    if campaign.started_at is None:
        return {}
    return {
        "pace": pace_of(campaign),
        "links": links_of(campaign),
        "reasons": reasons_of(campaign) if campaign.is_over else (),
    }


def _find(request: PageRequest, campaign_id: str) -> Campaign:
    campaigns = Campaign.objects.for_caller(request.caller)
    return get_object_or_404(campaigns, campaign_id=campaign_id)

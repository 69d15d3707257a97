"""Pages of a campaign's report: who got it, who did not, and by which domains."""

from __future__ import annotations

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.pages import PageRequest, page
from campaigns.diagnostics import with_diagnostics
from campaigns.models import Campaign
from campaigns.progress import measure_progress_of
from campaigns.pulses import pace_of
from campaigns.recipients import LONGEST_SEARCH, SHOWN, export_recipients, narrow
from campaigns.report import domains_of, hours_of, senders_of
from campaigns.senders import addresses_of
from mailhub.api.pagination import page_after, write_cursor

RECIPIENTS_A_PAGE = 50


@require_safe
@page(scope="campaigns")
def show_recipients(request: PageRequest, campaign_id: str) -> HttpResponse:
    """One row a recipient; `?show=` narrows by what became of it, `?q=` by its address."""
    campaign = _find(request, campaign_id)
    show, text = _asked(request)
    cursor = request.GET.get("cursor")
    found = with_diagnostics(narrow(campaign, show, text))
    rows = page_after(found, "pk", cursor, RECIPIENTS_A_PAGE + 1)
    narrowed = {name: value for name, value in (("show", show), ("q", text)) if value}
    following = ""
    if len(rows) > RECIPIENTS_A_PAGE:
        rows = rows[:RECIPIENTS_A_PAGE]
        following = urlencode({**narrowed, "cursor": write_cursor("pk", rows[-1].pk, rows[-1].pk)})
    return render(
        request,
        "campaigns/recipients.html",
        {
            "campaign": campaign,
            "progress": measure_progress_of([campaign])[campaign.pk],
            "rows": rows,
            "senders": addresses_of([campaign.pk]),
            "choices": SHOWN,
            "show": show,
            "text": text,
            "query": urlencode(narrowed),
            "following": following,
            "is_first_page": not cursor,
        },
    )


@require_safe
@page(scope="campaigns")
def download_recipients(request: PageRequest, campaign_id: str) -> StreamingHttpResponse:
    """The same rows as a CSV file, all of them, streamed."""
    campaign = _find(request, campaign_id)
    return StreamingHttpResponse(
        export_recipients(campaign, narrow(campaign, *_asked(request))),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{campaign.campaign_id}.csv"',
        },
    )


@require_safe
@page(scope="campaigns")
def show_breakdown(request: PageRequest, campaign_id: str) -> HttpResponse:
    """By domain and over time: what takes long to count, fetched by the report afterwards."""
    campaign = _find(request, campaign_id)
    return render(
        request,
        "campaigns/breakdown.html",
        {
            "campaign": campaign,
            "domains": domains_of(campaign),
            "hours": hours_of(campaign),
            "senders": senders_of(campaign),
        },
    )


@require_safe
@page(scope="campaigns")
def show_pace(request: PageRequest, campaign_id: str) -> HttpResponse:
    """The chart of the pace, which the progress page asks for again while it moves."""
    campaign = _find(request, campaign_id)
    context = {"campaign": campaign, "pace": pace_of(campaign)}
    return render(request, "campaigns/pace.html", context)


def _asked(request: PageRequest) -> tuple[str, str]:
    show = request.GET.get("show", "")
    text = request.GET.get("q", "").strip()[:LONGEST_SEARCH]
    return (show if show in SHOWN else "", text)


def _find(request: PageRequest, campaign_id: str) -> Campaign:
    campaigns = Campaign.objects.for_caller(request.caller)
    return get_object_or_404(campaigns, campaign_id=campaign_id)

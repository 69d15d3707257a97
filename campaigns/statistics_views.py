"""The page of statistics, and the same as a CSV file."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.pages import PageRequest, page
from campaigns.statistics import By, Statistics, export_statistics, gather, read_period
from mailhub.errors import InvalidInput


@require_safe
@page(scope="campaigns")
def show_statistics(request: PageRequest) -> HttpResponse:
    """What was sent and what came back, over time; `?from=`, `?to=` and `?by=` narrow it."""
    problem = ""
    try:
        found = _gather(request)
    except InvalidInput as error:
        problem = next(iter(error.details.get("fields", {}).values()), [error.message])[0]
        found = gather(request.caller, *read_period("", ""), _by(request))
    context: dict[str, Any] = {
        "found": found,
        "problem": problem,
        "choices": [each.value for each in By],
        "query": urlencode({"from": str(found.first), "to": str(found.last)}),
    }
    return render(request, "campaigns/statistics.html", context, status=400 if problem else 200)


@require_safe
@page(scope="campaigns")
def download_statistics(request: PageRequest) -> StreamingHttpResponse:
    """The rows of the page."""
    found = _gather(request)
    name = f"statistics-{found.first}-{found.last}-by-{found.by}.csv"
    return StreamingHttpResponse(
        export_statistics(found),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _gather(request: PageRequest) -> Statistics:
    period = read_period(request.GET.get("from", ""), request.GET.get("to", ""))
    return gather(request.caller, *period, _by(request))


def _by(request: PageRequest) -> By:
    wanted = request.GET.get("by", "")
    return By(wanted) if wanted in [each.value for each in By] else By.DAY

"""A campaign's links and who followed them: counted here, and told by Amazon SES."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Q
from django.db.models.fields.json import KT

from campaigns.models import Campaign, DeliveryEvent, EventKind, EventSource

MOST_LINKS = 100
_KEPT_SECONDS = 60


class LinkClicks(NamedTuple):
    """`clicked` are recipients, each once, `clicks` all by people; those by programs are apart."""

    target: str
    clicked: int
    clicks: int
    automatic_clicks: int


def links_of(campaign: Campaign) -> list[LinkClicks]:
    """In the order of the template, then those that SES alone tells of, as of a minute ago."""
    own = campaign.links.values_list("target", "clicked", "clicks", "automatic_clicks")
    return [*(LinkClicks(*row) for row in own), *_told_by_ses(campaign)]


def _told_by_ses(campaign: Campaign) -> list[LinkClicks]:
    key = f"campaign-ses-links:{campaign.campaign_id}"
    found: list[LinkClicks] | None = cache.get(key)
    if found is None:
        found = _count(campaign)
        cache.set(key, found, _KEPT_SECONDS)
    return found


def _count(campaign: Campaign) -> list[LinkClicks]:
    """Without our own links, whose clicks are counted where they lead to."""
    clicks = DeliveryEvent.objects.filter(
        campaign=campaign, kind=EventKind.CLICK, source=EventSource.SES
    )
    told = clicks.annotate(url=KT("details__url")).filter(url__isnull=False)
    rows = (
        told.exclude(url__startswith=f"{settings.MAILHUB_PUBLIC_URL}/")
        .order_by()
        .values_list("url")
        .annotate(
            clicked=Count("delivery", distinct=True, filter=Q(is_automatic=False)),
            clicks=Count("pk", filter=Q(is_automatic=False)),
            automatic=Count("pk", filter=Q(is_automatic=True)),
        )
        .order_by("-clicks", "url")
    )
    return [LinkClicks(*row) for row in rows[:MOST_LINKS]]

"""How far a campaign has come: one truth for all who show it.

total = sent + failed + skipped + uncertain + remaining, at every moment: the five come from
one statement, from tallies that change with the deliveries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Max, Q, Sum
from django.utils import timezone

from campaigns.models import (
    REMAINING,
    Campaign,
    CampaignStatus,
    Delivery,
    DeliveryState,
    ResponseTally,
    SendShift,
)
from campaigns.tallies import counts_of

LATEST_FAILURES = 10


class Failure(NamedTuple):
    """A recipient that was not reached, in the server's own words."""

    email: str
    words: str
    when: datetime | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a campaign stands.

    `sent` means accepted by the server. `rate_per_second` is that of the last seconds while
    it runs, the average of the run when it is over. `retry_at` is when a server is tried
    again that has trouble, None where it has none or nothing is sent. `resumes_at` is when one
    that is paused, or whose rate limits are used up, goes on by itself. `seconds_left` and
    `estimated_completion_at` are None where they are not known. `responses` are what came back.
    """

    campaign_id: str
    campaign_name: str
    status: str
    total: int
    sent: int
    failed: int
    skipped: int
    uncertain: int
    remaining: int
    rate_per_second: float
    seconds_left: float | None
    estimated_completion_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime
    last_error: str
    responses: ResponseTally
    retry_at: datetime | None = None
    resumes_at: datetime | None = None
    latest_failures: tuple[Failure, ...] = ()

    @property
    def shown_status(self) -> str:
        """Its status, or held_up where its server has trouble."""
        return self.status if self.retry_at is None else "held_up"

    @property
    def is_used_up(self) -> bool:
        """Whether it waits for its rate limits, which let nothing go before `resumes_at`."""
        return self.resumes_at is not None and self.status != CampaignStatus.PAUSED

    @property
    def percent(self) -> float:
        """How much of the total is no longer remaining, 0 to 100."""
        if not self.total:
            return 100.0 if self.status == CampaignStatus.COMPLETED else 0.0
        return 100 * (self.total - self.remaining) / self.total


def measure_progress(campaign: Campaign) -> Progress:
    """The progress of one campaign, with its latest failures."""
    return _measure(campaign, _figures([campaign.pk]), latest_failures(campaign))


def measure_progress_of(campaigns: Iterable[Campaign]) -> dict[int, Progress]:
    """The progress of each, by primary key, in three queries; without failures."""
    campaigns = list(campaigns)
    figures = _figures([campaign.pk for campaign in campaigns])
    return {campaign.pk: _measure(campaign, figures) for campaign in campaigns}


def latest_failures(campaign: Campaign, limit: int = LATEST_FAILURES) -> tuple[Failure, ...]:
    """Recipients that failed or are uncertain: from the end of the audience, latest first."""
    found: list[Failure] = []
    for state in (DeliveryState.FAILED, DeliveryState.UNCERTAIN):
        rows = Delivery.objects.filter(campaign=campaign, state=state).order_by("-pk")
        found += [
            Failure(*row) for row in rows.values_list("email", "reply", "finished_at")[:limit]
        ]
    oldest = datetime.min.replace(tzinfo=timezone.now().tzinfo)
    return tuple(sorted(found, key=lambda each: each.when or oldest, reverse=True)[:limit])


class _Pace(NamedTuple):
    rate: float
    heard_of: datetime | None


class _Figures(NamedTuple):
    """By campaign: how many deliveries are in each state, its workers' pace, what came back."""

    counts: Mapping[int, Mapping[str, int]]
    paces: Mapping[int, _Pace]
    responses: Mapping[int, ResponseTally]


def _figures(keys: list[int]) -> _Figures:
    lately = timezone.now() - timedelta(seconds=settings.MAILHUB_LEASE_SECONDS)
    shifts = SendShift.objects.filter(campaign_id__in=keys).order_by()
    paces = shifts.values_list("campaign_id").annotate(
        pace=Sum("rate", filter=Q(renewed_at__gte=lately), default=0.0),
        heard_of=Max("renewed_at"),
    )
    return _Figures(
        counts_of(keys),
        {campaign: _Pace(rate, heard_of) for campaign, rate, heard_of in paces},
        ResponseTally.objects.in_bulk(keys),
    )


def _measure(campaign: Campaign, figures: _Figures, failures: tuple[Failure, ...] = ()) -> Progress:
    states = figures.counts.get(campaign.pk, {})
    remaining, total = sum(states.get(each, 0) for each in REMAINING), sum(states.values())
    if campaign.started_at is None:
        # Its recipients are still being written down; none has been written to.
        states, remaining, total = {}, campaign.total_contacts, campaign.total_contacts
    sent = states.get(DeliveryState.SENT, 0)
    pace = figures.paces.get(campaign.pk, _Pace(0.0, None))
    seconds_left = None
    if campaign.status == CampaignStatus.IN_PROGRESS and pace.rate > 0:
        seconds_left = remaining / pace.rate
    return Progress(
        campaign_id=campaign.campaign_id,
        campaign_name=campaign.name,
        status=campaign.status,
        total=total,
        sent=sent,
        failed=states.get(DeliveryState.FAILED, 0),
        skipped=states.get(DeliveryState.SKIPPED, 0),
        uncertain=states.get(DeliveryState.UNCERTAIN, 0),
        remaining=remaining,
        rate_per_second=round(_average(campaign, sent) if campaign.is_over else pace.rate, 1),
        seconds_left=seconds_left,
        estimated_completion_at=(
            None if seconds_left is None else timezone.now() + timedelta(seconds=seconds_left)
        ),
        started_at=campaign.started_at,
        completed_at=campaign.completed_at,
        updated_at=max(campaign.updated_at, pace.heard_of or campaign.updated_at),
        last_error=campaign.last_error,
        responses=figures.responses.get(campaign.pk) or ResponseTally(campaign=campaign),
        retry_at=campaign.retry_at if campaign.is_active else None,
        resumes_at=_resumes_at(campaign),
        latest_failures=failures,
    )


def _resumes_at(campaign: Campaign) -> datetime | None:
    if campaign.status == CampaignStatus.PAUSED:
        return campaign.resumes_at
    is_held = campaign.is_active and (campaign.paced_until or timezone.now()) > timezone.now()
    return campaign.paced_until if is_held else None


def _average(campaign: Campaign, sent: int) -> float:
    if campaign.started_at is None or campaign.completed_at is None:
        return 0.0
    seconds = (campaign.completed_at - campaign.started_at).total_seconds()
    return sent / seconds if seconds > 0 else 0.0

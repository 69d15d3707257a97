"""How far a campaign has come: one truth for all who show it.

total = sent + failed + skipped + uncertain + remaining, at every moment: the five come from
one statement, from tallies that change with the deliveries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from django.conf import settings
from django.db.models import (
    CharField,
    DateTimeField,
    Max,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
)
from django.utils import timezone

from accounts.caller import Caller
from accounts.scope import PreparedForCaller
from campaigns.models import (
    REMAINING,
    Campaign,
    CampaignStatus,
    Delivery,
    DeliveryState,
    ResponseTally,
    SendShift,
)
from campaigns.tallies import STATES, Counts
from mailhub.prepared_query import Parameter

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
    measured = measure_progress_of([campaign])[campaign.pk]
    return replace(measured, latest_failures=latest_failures(campaign))


def measure_progress_of(campaigns: Iterable[Campaign]) -> dict[int, Progress]:
    """The progress of each, by primary key, in one query; without failures."""
    campaigns = list(campaigns)
    rows = Campaign.objects.filter(pk__in=[campaign.pk for campaign in campaigns])
    found = _with_figures(rows.only("pk", "responses"), _lately()).in_bulk()
    return {
        campaign.pk: _measure(campaign, _Figures.read_from(found.get(campaign.pk, campaign)))
        for campaign in campaigns
    }


def look_at(caller: Caller, campaign_id: str) -> tuple[Campaign, Progress] | None:
    """A campaign of the caller's, of which what tells its progress is read, and its progress.

    None where the caller has no such campaign. Made to be asked often; without failures.
    """
    campaign = _LOOK.first(caller, campaign_id=campaign_id, lately=_lately())
    if campaign is None:
        return None
    return campaign, _measure(campaign, _Figures.read_from(campaign))


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


def _with_figures(
    campaigns: QuerySet[Campaign], lately: datetime | Parameter
) -> QuerySet[Campaign]:
    """With what is counted of each, its workers' pace since `lately`, and what came back."""
    shifts = SendShift.objects.filter(campaign=OuterRef("pk")).order_by().values("campaign")
    paces = shifts.filter(renewed_at__gte=lately).annotate(pace=Sum("rate"))
    latest = shifts.annotate(latest=Max("renewed_at"))
    return campaigns.select_related("responses").annotate(
        **{f"{state}_now": Sum(f"tallies__{state}") for state in STATES},
        pace=Subquery(paces.values("pace")),
        heard_of=Subquery(latest.values("latest")),
    )


def _lately() -> datetime:
    """Whoever was not heard of since is sending no more."""
    return timezone.now() - timedelta(seconds=settings.MAILHUB_LEASE_SECONDS)


class _Figures(NamedTuple):
    """How many deliveries are in each state, the workers' pace, and what came back."""

    states: Counts
    pace: float
    heard_of: datetime | None
    responses: ResponseTally

    @classmethod
    def read_from(cls, row: Campaign) -> Self:
        """Those that stand beside a row, none where there are none."""
        return cls(
            {state: getattr(row, f"{state}_now", None) or 0 for state in STATES},
            getattr(row, "pace", None) or 0.0,
            getattr(row, "heard_of", None),
            getattr(row, "responses", None) or ResponseTally(campaign=row),
        )


def _measure(campaign: Campaign, figures: _Figures) -> Progress:
    states = figures.states
    remaining, total = sum(states[each] for each in REMAINING), sum(states.values())
    if campaign.started_at is None:
        # Its recipients are still being written down; none has been written to.
        states, remaining, total = {}, campaign.total_contacts, campaign.total_contacts
    sent = states.get(DeliveryState.SENT, 0)
    seconds_left = None
    if campaign.status == CampaignStatus.IN_PROGRESS and figures.pace > 0:
        seconds_left = remaining / figures.pace
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
        rate_per_second=round(_average(campaign, sent) if campaign.is_over else figures.pace, 1),
        seconds_left=seconds_left,
        estimated_completion_at=(
            None if seconds_left is None else timezone.now() + timedelta(seconds=seconds_left)
        ),
        started_at=campaign.started_at,
        completed_at=campaign.completed_at,
        updated_at=max(campaign.updated_at, figures.heard_of or campaign.updated_at),
        last_error=campaign.last_error,
        responses=figures.responses,
        retry_at=campaign.retry_at if campaign.is_active else None,
        resumes_at=_resumes_at(campaign),
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


_LOOK = PreparedForCaller(
    Campaign.objects.only(
        "campaign_id",
        "name",
        "status",
        "total_contacts",
        "created_at",
        "updated_at",
        "started_at",
        "completed_at",
        "last_error",
        "paced_until",
        "retry_at",
        "resumes_at",
        "responses",
    ),
    lambda campaigns: _with_figures(campaigns, Parameter("lately", DateTimeField())).filter(
        campaign_id=Parameter("campaign_id", CharField())
    ),
)

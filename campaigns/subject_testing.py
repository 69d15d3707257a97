"""The better of two subjects: tried on a part, counted after a while, and sent to the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from campaigns.models import (
    ACTIVE,
    REMAINING,
    Campaign,
    CampaignStatus,
    Delivery,
    DeliveryState,
    Measure,
    SubjectTest,
    Variant,
)
from campaigns.models.subject_test import GROUPS
from mailhub.logs import get_logger

log = get_logger(__name__)

_RESPONSES = {Measure.OPENS: "opened_at", Measure.CLICKS: "clicked_at"}


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one subject: how many got it, and how many of them responded."""

    sent: int
    responded: int

    @property
    def percent(self) -> float:
        """Of those who got it, how many responded."""
        return 100 * self.responded / self.sent if self.sent else 0.0


def open_for(rows: QuerySet[Delivery], campaign: int) -> QuerySet[Delivery]:
    """Of these deliveries of one campaign those that may be sent now, for all that is known.

    All, unless two subjects are still being tried: then those on whom they are.
    """
    percents = SubjectTest.objects.filter(campaign=campaign, winner="")
    percent = percents.values_list("percent", flat=True).first()
    return rows if percent is None else tried_on(rows, percent)


def tried_on(rows: QuerySet[Delivery], percent: int) -> QuerySet[Delivery]:
    """The deliveries on which two subjects are tried."""
    return rows.alias(group=F("pk") % GROUPS).filter(group__lt=percent)


def decide_subjects() -> None:
    """Begin to wait where all who try have theirs, and decide where the time is over.

    Of too few recipients nobody may have got one of the two: then there is no waiting.
    """
    now = timezone.now()
    tests = SubjectTest.objects.filter(winner="", campaign__status=CampaignStatus.IN_PROGRESS)
    for test in tests.select_related("campaign"):
        if test.decides_at is None:
            rows = Delivery.objects.filter(campaign=test.campaign_id, state__in=REMAINING)
            if tried_on(rows, test.percent).exists():
                continue
            if not all(tried.sent for tried in results(test)):
                # Nothing that could come back would tell one from the other.
                decide(test)
            else:
                decides_at = now + timedelta(minutes=test.wait_minutes)
                _change(test, decides_at=decides_at)
        elif test.decides_at <= now:
            decide(test)


def decide(test: SubjectTest) -> None:
    """The better one goes to the rest; A where both did as well."""
    a, b = results(test)
    winner = Variant.B if b.percent > a.percent else Variant.A
    if _change(test, winner=winner):
        log.info("a subject is chosen", campaign=test.campaign.campaign_id, winner=winner)


def results(test: SubjectTest) -> tuple[Tried, Tried]:
    """What came of A and of B until now, or until the time at which one of them was chosen."""
    sent = Delivery.objects.filter(campaign=test.campaign_id, state=DeliveryState.SENT)
    rows = tried_on(sent, test.percent).alias(side=F("pk") % 2)
    response = _RESPONSES[Measure(test.measure)]
    responded = Q(**{f"{response}__isnull": False})
    if test.decides_at is not None:
        responded &= Q(**{f"{response}__lte": test.decides_at})
    counted = rows.aggregate(
        a=Count("pk", filter=Q(side=0)),
        a_responded=Count("pk", filter=Q(side=0) & responded),
        b=Count("pk", filter=Q(side=1)),
        b_responded=Count("pk", filter=Q(side=1) & responded),
    )
    a = Tried(counted["a"], counted["a_responded"])
    return a, Tried(counted["b"], counted["b_responded"])


def subject_test_of(campaign: Campaign) -> SubjectTest | None:
    """The campaign's test of subjects, None where it has none."""
    return SubjectTest.objects.filter(campaign=campaign.pk).first() if campaign.pk else None


def _change(test: SubjectTest, **changes: object) -> bool:
    """Whether it was still undecided, and its campaign still goes."""
    undecided = SubjectTest.objects.filter(
        pk=test.pk, winner="", decides_at=test.decides_at, campaign__status__in=ACTIVE
    )
    return bool(undecided.update(**changes))

"""Totals over time: what was sent, and what came back of that, by day, sender, domain or campaign.

A message counts on the day on which its server took or refused it, and what came back of it
counts there too, whenever it came: so that rates are parts of the same messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.caller import Caller
from campaigns.feedback.thresholds import Rates
from campaigns.models import Campaign, Delivery, DeliveryState
from campaigns.senders import addresses_of
from campaigns.standing import Standing
from contacts.csv_lines import csv_line
from contacts.formulas import guard
from mailhub.errors import InvalidInput
from mailhub.mail.addresses import parse_address
from mailhub.mail.errors import InvalidMessage

MOST_DAYS = 366
USUAL_DAYS = 30
_ONE_DAY = timedelta(days=1)
# Days before and after are reckoned with: those at the ends of the calendar have none.
_FIRST_YEAR = 1970


class By(StrEnum):
    """What a row of the totals stands for. Sender and domain are those of the from-address."""

    DAY = "day"
    SENDER = "sender"
    DOMAIN = "domain"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class Totals:
    """Messages, each counted once in each number, however often somebody opened it."""

    sent: int = 0
    failed: int = 0
    delivered: int = 0
    bounced: int = 0
    complained: int = 0
    unsubscribed: int = 0
    opened: int = 0
    clicked: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(*(getattr(self, name) + getattr(other, name) for name in NAMES))

    @property
    def rates(self) -> Rates:
        """What a provider looks at."""
        return Rates(self.sent + self.failed, self.bounced, self.complained)


NAMES = tuple(field.name for field in fields(Totals))
_COLUMNS = {
    "sent": Count("pk", filter=Q(state=DeliveryState.SENT)),
    "failed": Count("pk", filter=Q(state=DeliveryState.FAILED)),
    **{name: Count(f"{name}_at") for name in NAMES[2:]},
}


class _Found(NamedTuple):
    """What one campaign sent on one day; `sender` is which of several did, "" where one does."""

    campaign: Campaign
    sender: str
    day: date
    totals: Totals


@dataclass(frozen=True, slots=True)
class Line:
    """One row: `key` is a date, an address, a domain, or a campaign's id and its name."""

    key: str
    words: str
    totals: Totals

    @property
    def standing(self) -> Standing:
        """How its rates are to be seen."""
        return self.totals.rates.standing


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the days from `first` to `last`, both included (UTC)."""

    first: date
    last: date
    by: By
    lines: Sequence[Line]
    days: Sequence[Line]

    @property
    def filled_lines(self) -> list[Line]:
        """Without days on which nothing was sent."""
        return [line for line in self.lines if line.totals != Totals()]

    @property
    def totals(self) -> Totals:
        """All of it."""
        return sum((line.totals for line in self.days), Totals())

    @property
    def standing(self) -> Standing:
        """How the rates of all of it are to be seen."""
        return self.totals.rates.standing


def read_period(first: str, last: str) -> tuple[date, date]:
    """Days as YYYY-MM-DD; without them the last thirty. Raises InvalidInput."""
    today = timezone.now().date()
    end = _read_day("to", last) if last else today
    begin = _read_day("from", first) if first else end - _ONE_DAY * (USUAL_DAYS - 1)
    if begin > end:
        raise InvalidInput.field("from", "The first day is after the last.")
    if (end - begin).days >= MOST_DAYS:
        raise InvalidInput.field("from", f"Ask for at most {MOST_DAYS} days.")
    return begin, end


def gather(caller: Caller, first: date, last: date, by: By) -> Statistics:
    """Count what the caller's tenant sent on these days."""
    begin = datetime.combine(first, time.min, tzinfo=UTC)
    end = datetime.combine(last, time.min, tzinfo=UTC) + _ONE_DAY
    campaigns = {campaign.pk: campaign for campaign in _under_way(caller, begin, end)}
    rows = Delivery.objects.filter(
        campaign__in=list(campaigns),
        state__in=(DeliveryState.SENT, DeliveryState.FAILED),
        finished_at__gte=begin,
        finished_at__lt=end,
    )
    counted = (
        rows.order_by()
        .values("campaign_id", "account_id", day=TruncDate("finished_at", tzinfo=UTC))
        .annotate(**{f"total_{name}": column for name, column in _COLUMNS.items()})
    )
    senders = addresses_of(campaigns)
    found = [
        _Found(
            campaigns[row["campaign_id"]],
            senders.get((row["campaign_id"], row["account_id"]), ""),
            row["day"],
            _totals(row),
        )
        for row in counted.iterator()
    ]
    days = {first + _ONE_DAY * number: Totals() for number in range((last - first).days + 1)}
    for each in found:
        days[each.day] += each.totals
    daily = [Line(day.isoformat(), day.isoformat(), totals) for day, totals in days.items()]
    lines = daily if by is By.DAY else _lines(found, _NAMERS[by])
    return Statistics(first, last, by, lines, daily)


def export_statistics(statistics: Statistics) -> Iterator[str]:
    """Lines of CSV, the heading first."""
    yield csv_line([str(statistics.by), *NAMES, "bounce_rate", "complaint_rate"])
    for line in statistics.lines:
        rates = line.totals.rates
        shown = [f"{rates.bounce_rate:.5f}", f"{rates.complaint_rate:.5f}"]
        numbers = [str(getattr(line.totals, name)) for name in NAMES]
        yield csv_line([guard(line.words), *numbers, *shown])


def _under_way(caller: Caller, begin: datetime, end: datetime) -> Iterator[Campaign]:
    """A campaign that ended before may have been taken up again: when it ended is not asked."""
    own = Campaign.objects.for_caller(caller).filter(started_at__lt=end)
    ended = Q(completed_at__isnull=False, completed_at__lt=begin)
    return own.exclude(ended).only("campaign_id", "name", "from_email").iterator()


def _lines(found: Sequence[_Found], name: Callable[[_Found], tuple[str, str]]) -> list[Line]:
    """The largest first."""
    summed: dict[tuple[str, str], Totals] = {}
    for each in found:
        key = name(each)
        summed[key] = summed.get(key, Totals()) + each.totals
    lines = [Line(*key, totals) for key, totals in summed.items()]
    return sorted(lines, key=lambda line: (-line.totals.sent, line.key))


def _sender(found: _Found) -> tuple[str, str]:
    sender = found.sender or found.campaign.from_email
    try:
        address = parse_address(sender).address.lower()
    except InvalidMessage:
        address = sender.lower()
    return address, address


def _domain(found: _Found) -> tuple[str, str]:
    domain = _sender(found)[0].rpartition("@")[2]
    return domain, domain


def _campaign(found: _Found) -> tuple[str, str]:
    return found.campaign.campaign_id, found.campaign.name


_NAMERS: dict[By, Callable[[_Found], tuple[str, str]]] = {
    By.SENDER: _sender,
    By.DOMAIN: _domain,
    By.CAMPAIGN: _campaign,
}


def _totals(row: Mapping[str, Any]) -> Totals:
    return Totals(*(row[f"total_{name}"] for name in NAMES))


def _read_day(name: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidInput.field(name, "Give a day as YYYY-MM-DD.") from None
    if not _FIRST_YEAR <= day.year < date.max.year:
        raise InvalidInput.field(name, f"Give a day from {_FIRST_YEAR} to {date.max.year - 1}.")
    return day

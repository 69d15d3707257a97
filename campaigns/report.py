"""What a report says of a campaign beyond its counters: by reason, domain, sender, over time.

Reasons and responses are few and are counted when asked. Domains and senders are those of all
recipients: one look at each row, kept for some minutes, for a million rows take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.cache import cache
from django.db.models import Count, Q, Value
from django.db.models.functions import Left, StrIndex, Substr, TruncHour
from django.utils import timezone

from campaigns.models import Campaign, Delivery, DeliveryEvent, DeliveryState, EventKind
from campaigns.resolving import NOT_SENT
from campaigns.senders import REMOVED, addresses_of
from mailhub.mail.bounce import Verdict

MOST_DOMAINS = 20
MOST_REASONS = 20
HOUR = timedelta(hours=1)
_HOURS = 48
_KEPT_SECONDS = 300
_CODES = re.compile(r"[245]\d\d(?:[ -][245]\.\d{1,3}\.\d{1,3})?")
_LONGEST_CODE = 14
_COUNTS = {
    "recipients": Count("pk"),
    "sent": Count("pk", filter=Q(state=DeliveryState.SENT)),
    "failed": Count("pk", filter=Q(state=DeliveryState.FAILED)),
    "bounced": Count("bounced_at"),
    "opened": Count("opened_at"),
    "clicked": Count("clicked_at"),
}

VERDICT_WORDS = {
    Verdict.HARD: "The address does not exist",
    Verdict.SOFT: "It may work another time",
    Verdict.UNCLEAR: "Came back, and why is not told",
    Verdict.POLICY: "The receiver does not want this sender or message",
    Verdict.CONTENT: "The message is too large or badly made",
    Verdict.SENDER: "The sender's own address is at fault",
}


class Reason(NamedTuple):
    """Why so many were not reached, in words or the server's code; `show` lists them."""

    words: str
    number: int
    show: str


class Part(NamedTuple):
    """What became of the recipients at one domain, or by one sender; "" for all others together."""

    name: str
    recipients: int
    sent: int
    failed: int
    bounced: int
    opened: int
    clicked: int


class Hour(NamedTuple):
    """How often people opened and clicked from `start` on."""

    start: datetime
    opens: int
    clicks: int


def reasons_of(campaign: Campaign) -> Sequence[Reason]:
    """Why messages were refused or came back, the most frequent first."""
    bounces = DeliveryEvent.objects.filter(campaign=campaign).standing_bounces()
    counted = bounces.values_list("verdict").annotate(number=Count("delivery", distinct=True))
    found = [
        Reason(f"Came back: {_words(verdict)}", number, "bounced")
        for verdict, number in counted.order_by()
    ]
    failed = Delivery.objects.filter(campaign=campaign, state=DeliveryState.FAILED)
    codes: dict[str, int] = {}
    for start, number in (
        failed.exclude(reply__startswith=NOT_SENT)
        .annotate(start=Left("reply", _LONGEST_CODE))
        .values_list("start")
        .annotate(number=Count("pk"))
        .order_by()
    ):
        code = _CODES.match(start)
        words = f"Refused with {code[0]}" if code else "Not accepted, for another reason"
        codes[words] = codes.get(words, 0) + number
    by_words = failed.filter(reply__startswith=NOT_SENT).values_list("reply")
    not_sent = by_words.annotate(number=Count("pk")).order_by("-number")[:MOST_REASONS]
    found += [Reason(words, number, "failed") for words, number in not_sent]
    found += [Reason(words, number, "failed") for words, number in codes.items()]
    return sorted(found, key=lambda each: -each.number)[:MOST_REASONS]


def _words(verdict: str) -> str:
    words = VERDICT_WORDS.get(Verdict(verdict), verdict) if verdict else "why is not known"
    return words[:1].lower() + words[1:]


def domains_of(campaign: Campaign) -> Sequence[Part]:
    """The largest domains of the audience, and all others together; as of a few minutes ago."""
    return _kept("domains", campaign, _count_domains)


def senders_of(campaign: Campaign) -> Sequence[Part]:
    """What each of several accounts sent, by its address; nothing where there is one way out.

    As of a few minutes ago. Those that nobody has taken yet are left out.
    """
    return _kept("senders", campaign, _count_senders)


def _kept(
    name: str, campaign: Campaign, count: Callable[[Campaign], Iterator[Part]]
) -> Sequence[Part]:
    key = f"campaign-{name}:{campaign.campaign_id}:{campaign.status}"
    found: Sequence[Part] | None = cache.get(key)
    if found is None:
        found = list(count(campaign))
        cache.set(key, found, _KEPT_SECONDS)
    return found


def _count_domains(campaign: Campaign) -> Iterator[Part]:
    rows = Delivery.objects.filter(campaign=campaign).annotate(
        domain=Substr("email", StrIndex("email", Value("@")) + 1)
    )
    by_domain = rows.order_by().values_list("domain").annotate(**_COUNTS)
    counted = _largest_first(Part(*row) for row in by_domain)
    yield from counted[:MOST_DOMAINS]
    others = counted[MOST_DOMAINS:]
    if others:
        yield Part("", *(sum(numbers) for numbers in list(zip(*others, strict=True))[1:]))


def _count_senders(campaign: Campaign) -> Iterator[Part]:
    if not campaign.senders.exists():
        return
    addresses = addresses_of([campaign.pk])
    rows = Delivery.objects.filter(campaign=campaign, account__isnull=False).order_by()
    by_account = rows.values_list("account_id").annotate(**_COUNTS)
    yield from _largest_first(
        Part(addresses.get((campaign.pk, account), REMOVED), *counts)
        for account, *counts in by_account
    )


def _largest_first(parts: Iterable[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (-part.recipients, part.name))


def hours_of(campaign: Campaign) -> Sequence[Hour]:
    """Opens and clicks by people in the first 48 hours; none where nothing was counted."""
    if campaign.started_at is None:
        return []
    first = campaign.started_at.replace(minute=0, second=0, microsecond=0)
    last = min(first + timedelta(hours=_HOURS - 1), timezone.now())
    key = f"campaign-hours:{campaign.campaign_id}"
    counted: dict[tuple[datetime, str], int] | None = cache.get(key)
    if counted is None:
        counted = _count_hours(campaign, first)
        cache.set(key, counted, _KEPT_SECONDS)
    if not counted:
        return []
    starts = [first + timedelta(hours=number) for number in range((last - first) // HOUR + 1)]
    return [
        Hour(
            start, counted.get((start, EventKind.OPEN), 0), counted.get((start, EventKind.CLICK), 0)
        )
        for start in starts
    ]


def _count_hours(campaign: Campaign, first: datetime) -> dict[tuple[datetime, str], int]:
    rows = DeliveryEvent.objects.filter(
        campaign=campaign,
        kind__in=(EventKind.OPEN, EventKind.CLICK),
        at__gte=first,
        at__lt=first + _HOURS * HOUR,
        is_automatic=False,
    )
    counted = rows.annotate(hour=TruncHour("at")).values_list("hour", "kind")
    return {(hour, kind): number for hour, kind, number in counted.annotate(Count("pk")).order_by()}

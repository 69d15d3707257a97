"""Noting what became of deliveries: each event once, whatever the order and number of reports.

In one transaction stand the event, its moment on the delivery (the earliest, by whichever
report) and the campaign's tally. The delivery's row is locked for it, so that two who report
the same at the same time count it once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from accounts.events.publishing import publish_many
from campaigns.audience import ERASED_DOMAIN
from campaigns.models import (
    Campaign,
    Delivery,
    DeliveryEvent,
    EventKind,
    EventSource,
    ResponseTally,
)
from campaigns.news import delivery_values
from mailhub.mail.bounce import Verdict

# What a kind is called on a delivery, as `<name>_at`, and in the tally.
_MARKS = {
    EventKind.DELIVERY: "delivered",
    EventKind.BOUNCE: "bounced",
    EventKind.COMPLAINT: "complained",
    EventKind.UNSUBSCRIBE: "unsubscribed",
    EventKind.OPEN: "opened",
    EventKind.CLICK: "clicked",
}
_EVENT_TYPES = {
    EventKind.BOUNCE: "delivery.bounced",
    EventKind.COMPLAINT: "delivery.complained",
    EventKind.UNSUBSCRIBE: "delivery.unsubscribed",
    EventKind.OPEN: "delivery.opened",
    EventKind.CLICK: "delivery.clicked",
}
_TOTALS = {EventKind.OPEN: "opens", EventKind.CLICK: "clicks"}


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that somebody says has happened to a delivery.

    `key` names it for ever within `source` and the delivery: at most 200 characters, such as
    a provider's id of the event. Of `details`, webhooks are told the `reason` of a bounce and
    the `url` of a click. See `campaigns.models.DeliveryEvent` for the others.
    """

    delivery: int
    kind: EventKind
    at: datetime
    source: EventSource
    key: str
    verdict: Verdict | None = None
    is_automatic: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)


def is_erased(delivery: Delivery) -> bool:
    """Whether nobody knows any more whose it was."""
    return delivery.email.endswith(f"@{ERASED_DOMAIN}")


def of_another(
    delivery: Delivery, at: datetime, source: EventSource, *, key: str, words: str
) -> Report:
    """Something is told of an address to which the message was passed on: noted, no more.

    Neither the address nor its server's words are kept: they are another person's.
    """
    details = {"reason": f"Told of another address: {words}"}
    key = f"{key[:180]}:{EventKind.ELSEWHERE}"
    return Report(delivery.pk, EventKind.ELSEWHERE, at, source, key, details=details)


@dataclass(frozen=True, slots=True)
class News:
    """A report that was new; `is_first`: nothing of its kind was known of the delivery."""

    report: Report
    delivery: Delivery
    is_first: bool


def record_event(report: Report) -> News | None:
    """Note it; None where it was known, or the delivery is gone."""
    return next(iter(record_events([report])), None)


def record_events(reports: Iterable[Report]) -> list[News]:
    """Note these, in one transaction; which of them were new, in the order given.

    Call it in a transaction of your own where something is to follow from the news.
    """
    unique = {(each.delivery, each.source, each.key): each for each in reversed([*reports])}
    with transaction.atomic():
        rows = _locked({delivery for delivery, _, _ in unique})
        known = set(
            DeliveryEvent.objects.filter(
                delivery__in=rows, key__in={key for _, _, key in unique}
            ).values_list("delivery_id", "source", "key")
        )
        fresh = [
            report
            for name, report in reversed(unique.items())
            if name not in known and report.delivery in rows
        ]
        DeliveryEvent.objects.bulk_create(_row(each, rows[each.delivery]) for each in fresh)
        news = [News(each, rows[each.delivery], _mark(each, rows)) for each in fresh]
        _save_marks(news)
        _count(news)
        _tell(news)
    return news


def forget_bounces(campaign: Campaign, deliveries: Sequence[int]) -> None:
    """These are sent once more: they have not bounced until they are refused again.

    What was told of the tries before stays among their events. Part of the transaction in
    which the caller has locked them and queues them.
    """
    bounced = Delivery.objects.filter(pk__in=deliveries, bounced_at__isnull=False)
    number = bounced.update(bounced_at=None)
    if number:
        tally = ResponseTally.objects.filter(pk=campaign.pk)
        tally.update(bounced=Greatest(F("bounced") - number, 0))


def _locked(keys: set[int]) -> dict[int, Delivery]:
    """In one order, so that two who lock the same rows never wait for each other."""
    rows = Delivery.objects.select_for_update(of=("self",)).filter(pk__in=keys).order_by("pk")
    bodies = ("html_body", "text_body", "headers", "smtp_password")
    rows = rows.select_related("campaign").defer(*(f"campaign__{name}" for name in bodies))
    return {row.pk: row for row in rows}


def _row(report: Report, delivery: Delivery) -> DeliveryEvent:
    return DeliveryEvent(
        delivery=delivery,
        campaign_id=delivery.campaign_id,
        kind=report.kind,
        verdict=report.verdict or "",
        is_automatic=report.is_automatic,
        at=report.at,
        source=report.source,
        key=report.key,
        details=dict(report.details),
    )


def _mark(report: Report, rows: Mapping[int, Delivery]) -> bool:
    """Set the moment on the delivery where it is the earliest; whether there was none."""
    name = _MARKS.get(report.kind)
    if name is None or report.is_automatic:
        return False
    delivery = rows[report.delivery]
    before: datetime | None = getattr(delivery, f"{name}_at")
    if before is None or report.at < before:
        setattr(delivery, f"{name}_at", report.at)
    return before is None


def _save_marks(news: Sequence[News]) -> None:
    marked = {each.delivery.pk: each.delivery for each in news if not each.report.is_automatic}
    moments = [f"{name}_at" for name in _MARKS.values()]
    for pk in sorted(marked):
        delivery = marked[pk]
        Delivery.objects.filter(pk=pk).update(
            **{moment: getattr(delivery, moment) for moment in moments}
        )


def _count(news: Sequence[News]) -> None:
    tallies: dict[int, Counter[str]] = {}
    for each in news:
        tally = tallies.setdefault(each.delivery.campaign_id, Counter())
        total = _TOTALS.get(each.report.kind)
        if total is not None:
            tally[f"automatic_{total}" if each.report.is_automatic else total] += 1
        if each.is_first:
            tally[_MARKS[each.report.kind]] += 1
    for campaign, tally in sorted(tallies.items()):
        if not tally:
            continue
        more = {name: F(name) + number for name, number in tally.items()}
        rows = ResponseTally.objects.filter(pk=campaign)
        if not rows.update(**more):
            ResponseTally.objects.bulk_create(
                [ResponseTally(campaign_id=campaign)], ignore_conflicts=True
            )
            rows.update(**more)


def _tell(news: Sequence[News]) -> None:
    """Tell the tenants' webhooks: each open and click by a person, of all else the first."""
    told: dict[tuple[UUID, str], list[dict[str, Any]]] = {}
    for each in news:
        event_type = _EVENT_TYPES.get(each.report.kind)
        is_again = each.report.kind in _TOTALS and not each.report.is_automatic
        if event_type is not None and (each.is_first or is_again):
            campaign = each.delivery.campaign
            told.setdefault((campaign.tenant_id, event_type), []).append(_told(each))
    for (tenant, event_type), data in told.items():
        publish_many(tenant, event_type, data)


def _told(news: News) -> dict[str, Any]:
    report, delivery = news.report, news.delivery
    values = delivery_values(delivery.campaign.campaign_id, delivery, report.at)
    if report.kind == EventKind.BOUNCE:
        values |= {"verdict": report.verdict or "", "reason": report.details.get("reason", "")}
    elif report.kind == EventKind.CLICK:
        values["url"] = report.details.get("url", "")
    return values

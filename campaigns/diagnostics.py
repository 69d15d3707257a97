"""Why messages came back or are late, in the words of the servers that told of it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from campaigns.models import Delivery, DeliveryEvent, EventKind
from mailhub.mail.bounce import Verdict


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What is told of one delivery, each "" where nothing is.

    `bounce_class` is a `mailhub.mail.bounce.Verdict`: of several bounces a hard one counts, else
    the latest. One that is sent once more has none until it is refused again.
    """

    bounce_class: str = ""
    bounce_reason: str = ""
    delay_reason: str = ""


FIELDS = ("bounce_class", "bounce_reason", "delay_reason")


def with_diagnostics(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """The same, to be asked for their diagnostics without a statement for each."""
    told = DeliveryEvent.objects.filter(kind__in=(EventKind.BOUNCE, EventKind.DELAY))
    return rows.prefetch_related(Prefetch("events", told))


def diagnostic_of(delivery: Delivery) -> Diagnostic:
    """What is told of it; its rows are those of `with_diagnostics`."""
    events = sorted(delivery.events.all(), key=lambda event: event.at)
    since = delivery.bounced_at
    bounces = [
        event
        for event in events
        if event.kind == EventKind.BOUNCE and since is not None and event.at >= since
    ]
    hard = [event for event in bounces if event.verdict == Verdict.HARD]
    delays = [event for event in events if event.kind == EventKind.DELAY]
    bounce = next(reversed(hard or bounces), None)
    return Diagnostic(
        bounce_class=bounce.verdict if bounce else "",
        bounce_reason=_reason(bounce),
        delay_reason=_reason(delays[-1] if delays else None),
    )


def _reason(event: DeliveryEvent | None) -> str:
    return str(event.details.get("reason", "")) if event else ""

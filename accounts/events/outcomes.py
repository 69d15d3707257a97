"""What became of each try: noted on the delivery and on its webhook, and when the next is.

A refusal is about one event, and others go on. Where there was no answer, or the answer
says "not now", or too many are refused in a row, the webhook is left alone for a while:
it is tried by one event at a time, after pauses that grow, and the others keep their tries.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import EventDelivery, EventDeliveryState, EventWebhook
from mailhub.logs import get_logger

log = get_logger(__name__)

# Seconds between the tries of one event, three days together.
PAUSES = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
MOST_TRIES = len(PAUSES) + 1
_JITTER = 0.2
_FIRST_HOLD, _LONGEST_HOLD = 5.0, 900.0
_LONGEST_ASKED_FOR = 3600.0
_REFUSALS_IN_A_ROW = 10
_MOST_DOUBLINGS = 10
_NOT_NOW = (429, 502, 503, 504)
_GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """One try. `status` is 0 where there was no answer; `wait` the seconds the receiver
    asked for (Retry-After).
    """

    delivery: EventDelivery
    at: datetime
    status: int
    words: str = ""
    wait: float = 0.0

    @property
    def is_success(self) -> bool:
        """Any 2xx; a redirect is none."""
        return 200 <= self.status < 300

    @property
    def is_about_the_receiver(self) -> bool:
        """Another event would have fared no better."""
        return self.status in (0, _GONE, *_NOT_NOW)


def note_outcomes(webhook: EventWebhook, outcomes: Sequence[Outcome]) -> bool:
    """Write them down, in the order in which they came; whether to go on with the webhook."""
    for outcome in outcomes:
        _count(webhook, outcome)
    with transaction.atomic():
        _note_on_deliveries(outcomes, webhook.held_until)
        rows = EventWebhook.objects.filter(pk=webhook.pk, is_enabled=True)
        values: dict[str, Any] = {
            name: getattr(webhook, name)
            for name in ("failures", "failing_since", "held_until", "last_success_at")
        }
        if webhook.disabled_reason:
            values |= {"is_enabled": False, "disabled_reason": webhook.disabled_reason}
            log.warning("event webhook disabled", webhook=str(webhook.pk))
        still_there = rows.update(**values)
    return bool(still_there) and not webhook.disabled_reason and webhook.held_until is None


def _count(webhook: EventWebhook, outcome: Outcome) -> None:
    if outcome.is_success:
        webhook.failures, webhook.failing_since, webhook.held_until = 0, None, None
        webhook.last_success_at = outcome.at
        return
    webhook.failures += 1
    webhook.failing_since = since = webhook.failing_since or outcome.at
    if outcome.is_about_the_receiver or webhook.failures >= _REFUSALS_IN_A_ROW:
        doubled = _FIRST_HOLD * 2 ** min(webhook.failures - 1, _MOST_DOUBLINGS)
        seconds = max(min(doubled, _LONGEST_HOLD), min(outcome.wait, _LONGEST_ASKED_FOR))
        webhook.held_until = outcome.at + timedelta(seconds=_spread(seconds))
    if outcome.status == _GONE:
        webhook.disabled_reason = "The receiver answered 410: it wants no more events."
    elif outcome.at - since >= timedelta(days=settings.MAILHUB_EVENT_PATIENCE_DAYS):
        webhook.disabled_reason = (
            f"It has taken no event since {since:%Y-%m-%d %H:%M} UTC. "
            f"The last try: {outcome.words or outcome.status}"
        )


def _note_on_deliveries(outcomes: Sequence[Outcome], held_until: datetime | None) -> None:
    rows = []
    for outcome in outcomes:
        row = outcome.delivery
        row.attempts += 1
        row.last_attempt_at, row.status, row.reply = outcome.at, outcome.status, outcome.words
        row.next_attempt_at = None
        if outcome.is_success:
            row.state = EventDeliveryState.DELIVERED
        elif row.attempts >= MOST_TRIES:
            row.state = EventDeliveryState.FAILED
        else:
            pause = timedelta(seconds=_spread(PAUSES[row.attempts - 1]))
            row.next_attempt_at = max(outcome.at + pause, held_until or timezone.now())
        rows.append(row)
    delivered = [row for row in rows if row.state == EventDeliveryState.DELIVERED]
    others = [row for row in rows if row.state != EventDeliveryState.DELIVERED]
    for (attempts, status), alike in _alike(delivered).items():
        # Nearly all of them at once: a CASE for each row would take ten times as long.
        EventDelivery.objects.filter(pk__in=[row.pk for row in alike]).update(
            state=EventDeliveryState.DELIVERED,
            attempts=attempts,
            status=status,
            reply="",
            last_attempt_at=max(row.last_attempt_at for row in alike if row.last_attempt_at),
            next_attempt_at=None,
        )
    EventDelivery.objects.bulk_update(
        others, ["state", "attempts", "status", "reply", "last_attempt_at", "next_attempt_at"]
    )


def _alike(rows: Sequence[EventDelivery]) -> dict[tuple[int, int], list[EventDelivery]]:
    found: dict[tuple[int, int], list[EventDelivery]] = {}
    for row in rows:
        found.setdefault((row.attempts, row.status), []).append(row)
    return found


def _spread(seconds: float) -> float:
    """Not all at the same moment: what failed together does not come back together."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret

"""A campaign's pace over time: noted with the outcomes, read for a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import F

from campaigns.models import Campaign, SendingPulse
from campaigns.models.sending_pulse import SECONDS

MOST_COLUMNS = 60


@dataclass(frozen=True, slots=True)
class Column:
    """A stretch of time from `start` on; numbers a second."""

    start: datetime
    seconds: int
    sent: float
    failed: float


def note_pulse(campaign: int, at: datetime, *, sent: int, failed: int) -> None:
    """So many ended now; to be called in the transaction that writes their outcomes."""
    if not sent and not failed:
        return
    slot = int(at.timestamp()) // SECONDS
    rows = SendingPulse.objects.filter(campaign=campaign, slot=slot)
    more = {"sent": F("sent") + sent, "failed": F("failed") + failed}
    if not rows.update(**more):
        SendingPulse.objects.bulk_create(
            [SendingPulse(campaign_id=campaign, slot=slot)], ignore_conflicts=True
        )
        rows.update(**more)


def pace_of(campaign: Campaign) -> Sequence[Column]:
    """From the first outcome to the last, in at most 60 columns of the same length."""
    pulses = SendingPulse.objects.filter(campaign=campaign).order_by("slot")
    rows = list(pulses.values_list("slot", "sent", "failed"))
    if not rows:
        return []
    first, last = rows[0][0], rows[-1][0]
    slots = -(-(last - first + 1) // MOST_COLUMNS)
    sums = [[0, 0] for _ in range((last - first) // slots + 1)]
    for slot, sent, failed in rows:
        column = sums[(slot - first) // slots]
        column[0] += sent
        column[1] += failed
    seconds = slots * SECONDS
    return [
        Column(
            datetime.fromtimestamp((first + number * slots) * SECONDS, UTC),
            seconds,
            sent / seconds,
            failed / seconds,
        )
        for number, (sent, failed) in enumerate(sums)
    ]

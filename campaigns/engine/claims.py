"""Claim, then work: rows pass into a shift's hand by a conditional UPDATE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from campaigns.models import CampaignStatus, Delivery, DeliveryState, SendShift
from campaigns.subject_testing import open_for


class Claimed(NamedTuple):
    """A delivery in this worker's hand. `attempt` counts from 1."""

    pk: int
    email: str
    contact: int | None
    attempt: int


def claim(shift: SendShift, size: int, after: int = 0) -> list[Claimed]:
    """Take up to `size` deliveries that are due.

    First such as come `after` the key of a delivery: where a worker claimed last, it need not
    look again through all that are in somebody's hand. None of a campaign that is not in
    progress, nor for a shift that was settled meanwhile.
    """
    with transaction.atomic():
        if not _hold(shift):
            return []
        waiting = queued(shift.campaign_id).order_by("pk")
        rows = _take(waiting.filter(pk__gt=after), size)
        if len(rows) < size and after:
            rows += _take(waiting.filter(pk__lte=after), size - len(rows))
        if len(rows) < size:
            rows += _take(due(shift.campaign_id).order_by("next_attempt_at"), size - len(rows))
        Delivery.objects.filter(pk__among=[row.pk for row in rows]).update(shift=shift)
    return rows


def release(shift: SendShift, deliveries: Iterable[int]) -> None:
    """Put back what was not offered to the server."""
    Delivery.objects.filter(pk__among=list(deliveries), shift=shift).update(shift=None)


def in_hand(shift: SendShift) -> QuerySet[Delivery]:
    """What the shift has claimed and neither written down nor put back."""
    return Delivery.objects.remaining().filter(campaign_id=shift.campaign_id, shift=shift)


def queued(campaign: int) -> QuerySet[Delivery]:
    """The deliveries that wait for their first attempt, in nobody's hand."""
    rows = Delivery.objects.filter(campaign_id=campaign, state=DeliveryState.QUEUED, shift=None)
    return open_for(rows, campaign)


def due(campaign: int) -> QuerySet[Delivery]:
    """The deferred ones whose next attempt is due, in nobody's hand."""
    rows = Delivery.objects.filter(
        campaign_id=campaign,
        state=DeliveryState.DEFERRED,
        shift=None,
        next_attempt_at__lte=timezone.now(),
    )
    return open_for(rows, campaign)


def _hold(shift: SendShift) -> bool:
    """Keep the shift from being settled until the end of this transaction; whether it may claim.

    This stands for the constraint that deliveries do not have (see campaigns.delivery_keys).
    """
    mine = SendShift.objects.filter(
        pk=shift.pk, process=shift.process, campaign__status=CampaignStatus.IN_PROGRESS
    )
    return bool(mine.select_for_update(of=("self",), no_key=True).values_list("pk"))


def _take(rows: QuerySet[Delivery], size: int) -> list[Claimed]:
    """Lock rows that nobody else is taking; SQLite lets one writer in at a time anyway."""
    locked = rows.select_for_update(skip_locked=True)
    return [
        Claimed(pk, email, contact, attempts + 1)
        for pk, email, contact, attempts in locked.values_list(
            "pk", "email", "contact_id", "attempts"
        )[:size]
    ]

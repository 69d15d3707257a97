"""Writing down what became of deliveries: in batches, each in one short transaction."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from campaigns.models import Campaign, Delivery, DeliveryState, SendShift
from contacts.models import Contact


@dataclass(frozen=True, slots=True)
class Finished:
    """One attempt that has ended: the delivery's key, its new state and the server's words."""

    delivery: int
    attempt: int
    state: DeliveryState
    reply: str
    message_id: str


def next_try(attempt: int, now: datetime) -> datetime:
    """When a deferred delivery is due again: exponential, capped, with jitter.

    The pauses grow anew where a person had one sent again that was given up.
    """
    tries = (attempt - 1) % settings.MAILHUB_SEND_ATTEMPTS
    pause = settings.MAILHUB_FIRST_RETRY_SECONDS * 2 ** min(tries, 30)
    longest = settings.MAILHUB_LONGEST_RETRY_SECONDS
    return now + timedelta(seconds=min(pause, longest) * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret


def record(shift: SendShift, finished: Sequence[Finished]) -> None:
    """Write these outcomes, and in the contacts that a message was accepted for them.

    Only rows that are still in this shift's hand change. A deferred one that has used up its
    tries has failed.
    """
    now = timezone.now()
    finished = [_given_up(each) for each in finished]
    ended = [each for each in finished if each.state != DeliveryState.DEFERRED]
    deferred = [each for each in finished if each.state == DeliveryState.DEFERRED]
    with transaction.atomic():
        _record_deferred(shift, deferred, now)
        contacts = _record_ended(shift, ended, now)
        if contacts:
            campaign = Campaign.objects.filter(pk=shift.campaign_id)
            campaign_id = campaign.values_list("campaign_id", flat=True).get()
            Contact.objects.note_mailing(contacts, campaign_id, now)


def _given_up(finished: Finished) -> Finished:
    used_up = finished.attempt % settings.MAILHUB_SEND_ATTEMPTS == 0
    if used_up and finished.state == DeliveryState.DEFERRED:
        return replace(finished, state=DeliveryState.FAILED)
    return finished


# Both databases name the columns of VALUES column1, column2 …
_RECORD = """
UPDATE campaign_deliveries
SET state = ended.column2, reply = ended.column3, message_id = ended.column4,
    attempts = ended.column5, finished_at = %s, shift_id = NULL
FROM (VALUES {rows}) AS ended
WHERE campaign_deliveries.id = ended.column1
  AND campaign_deliveries.shift_id = %s AND campaign_deliveries.state = 'sending'
RETURNING campaign_deliveries.contact_id, campaign_deliveries.state
"""


def _record_ended(shift: SendShift, finished: Sequence[Finished], now: datetime) -> list[int]:
    """The contacts of those that were sent."""
    if not finished:
        return []
    rows = ", ".join(["(%s, %s, %s, %s, %s)"] * len(finished))
    values = [
        value
        for each in finished
        for value in (each.delivery, str(each.state), each.reply, each.message_id, each.attempt)
    ]
    moment = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(_RECORD.format(rows=rows), [moment, *values, shift.pk])
        changed = cursor.fetchall()
    return [
        contact for contact, state in changed if contact is not None and state == DeliveryState.SENT
    ]


def _record_deferred(shift: SendShift, finished: Sequence[Finished], now: datetime) -> None:
    for each in finished:
        Delivery.objects.filter(pk=each.delivery, shift=shift, state=DeliveryState.SENDING).update(
            state=DeliveryState.DEFERRED,
            reply=each.reply,
            message_id=each.message_id,
            attempts=each.attempt,
            next_attempt_at=next_try(each.attempt, now),
            shift=None,
        )

"""Writing down what became of deliveries: in batches, each in one short transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from campaigns.feedback.refusals import note_refusals
from campaigns.models import Delivery, DeliveryState, SendShift
from campaigns.models.delivery import LONGEST_PROVIDER_ID
from campaigns.news import tell_of_outcomes
from campaigns.pulses import note_pulse
from campaigns.servers import goes_by_ses
from contacts.models import Contact
from mailhub.retrying import next_try


class Finished(NamedTuple):
    """One attempt that has ended: the delivery's key, its new state and the server's words.

    `provider_id` is the name that the provider gave the message. `held_seconds` is set where
    the provider took nothing, whatever the message: that costs no try, and for so long the
    delivery is deferred.
    """

    delivery: int
    attempt: int
    state: DeliveryState
    reply: str
    message_id: str
    provider_id: str = ""
    held_seconds: float = 0.0


def record(shift: SendShift, finished: Sequence[Finished]) -> None:
    """Write these outcomes, and in the contacts that a message was accepted for them.

    Only rows that are still in this shift's hand change. A deferred one that has used up its
    tries has failed.
    """
    now = timezone.now()
    deferred = [each for each in finished if each.state == DeliveryState.DEFERRED]
    ended = [each for each in finished if each.state != DeliveryState.DEFERRED]
    ended += [_given_up(each) for each in deferred if _is_used_up(each)]
    deferred = [each for each in deferred if not _is_used_up(each)]
    with transaction.atomic():
        _record_deferred(shift, deferred, now)
        changed = _record_ended(shift, ended, now)
        contacts = [
            contact
            for contact, state in changed
            if contact is not None and state == DeliveryState.SENT
        ]
        campaign = shift.campaign
        if contacts:
            Contact.objects.note_mailing(contacts, campaign.campaign_id, now)
        tell_of_outcomes(campaign, [each.delivery for each in ended], now)
        refused = [each for each in ended if each.state == DeliveryState.FAILED]
        if refused and not goes_by_ses(campaign):
            note_refusals([(each.delivery, each.attempt, each.reply) for each in refused], now)
        # Last: all workers write to this row.
        note_pulse(
            shift.campaign_id,
            now,
            sent=sum(state == DeliveryState.SENT for _, state in changed),
            failed=sum(state == DeliveryState.FAILED for _, state in changed),
        )


def _is_used_up(deferred: Finished) -> bool:
    return deferred.attempt % settings.MAILHUB_SEND_ATTEMPTS == 0 and not deferred.held_seconds


def _given_up(deferred: Finished) -> Finished:
    return deferred._replace(state=DeliveryState.FAILED)


# The outcomes travel as few parameters: thousands of them would each be prepared in Python.
# MATERIALIZED hides how many there are, which would make PostgreSQL read the whole table.
_ENDED = {
    "sqlite": """
        SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS state,
            json_extract(value, '$[2]') AS reply, json_extract(value, '$[3]') AS message_id,
            json_extract(value, '$[4]') AS attempts, json_extract(value, '$[5]') AS provider_id
        FROM json_each(%s)
    """,
    "postgresql": """
        WITH given AS MATERIALIZED (
            SELECT %s::bigint[] AS ids, %s::text[] AS states, %s::text[] AS replies,
                %s::text[] AS message_ids, %s::smallint[] AS tries, %s::text[] AS provider_ids
        )
        SELECT list.* FROM given, unnest(ids, states, replies, message_ids, tries, provider_ids)
            AS list (id, state, reply, message_id, attempts, provider_id)
    """,
}
_RECORD = """
UPDATE campaign_deliveries
SET state = ended.state, reply = ended.reply, message_id = ended.message_id,
    attempts = ended.attempts, provider_id = ended.provider_id, finished_at = %s,
    next_attempt_at = NULL, shift_id = NULL
FROM ({ended}) AS ended
WHERE campaign_deliveries.id = ended.id
  AND campaign_deliveries.shift_id = %s
RETURNING campaign_deliveries.contact_id, campaign_deliveries.state
"""


def _record_ended(
    shift: SendShift, finished: Sequence[Finished], now: datetime
) -> list[tuple[int | None, str]]:
    """The contact and the state of each that has changed."""
    if not finished:
        return []
    rows = [
        (delivery, str(state), reply, message_id, attempt, provider_id[:LONGEST_PROVIDER_ID])
        for delivery, attempt, state, reply, message_id, provider_id, _ in finished
    ]
    if connection.vendor == "sqlite":
        values: list[Any] = [json.dumps(rows)]
    else:
        values = [list(column) for column in zip(*rows, strict=True)]
    moment = connection.ops.adapt_datetimefield_value(now)
    statement = _RECORD.format(ended=_ENDED[connection.vendor])
    with connection.cursor() as cursor:
        cursor.execute(statement, [moment, *values, shift.pk])
        changed: list[tuple[int | None, str]] = cursor.fetchall()
    return changed


def _record_deferred(shift: SendShift, finished: Sequence[Finished], now: datetime) -> None:
    for each in finished:
        Delivery.objects.filter(pk=each.delivery, shift=shift).update(
            state=DeliveryState.DEFERRED,
            reply=each.reply,
            message_id=each.message_id,
            attempts=each.attempt - (each.held_seconds > 0),
            next_attempt_at=_due_again(each, now),
            shift=None,
        )


def _due_again(finished: Finished, now: datetime) -> datetime:
    if finished.held_seconds:
        return now + timedelta(seconds=finished.held_seconds)
    return next_try(finished.attempt, now)

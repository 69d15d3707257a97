"""Which of several accounts a message goes by, noted with the delivery before it leaves."""

from __future__ import annotations

from collections.abc import Sequence

from campaigns.engine.board import Assignment
from campaigns.engine.lanes import Lane
from campaigns.models import Delivery


def note_accounts(assignments: Sequence[Assignment], lanes: Sequence[Lane]) -> None:
    """Note the account of each of these; nothing where the campaign has but one way out.

    Once for a batch: a worker that is lost leaves it noted, whatever becomes of the messages.
    """
    for lane in lanes:
        if lane.share is not None:
            keys = [each.claimed.pk for each in assignments if each.lane == lane.number]
            if keys:
                Delivery.objects.filter(pk__among=keys).update(account=lane.share.account_id)

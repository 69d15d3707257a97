"""What a person may still do about a message: cancel it, send it again, call it sent."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mailboxes.drafts.returning import give_up, reopen
from mailboxes.models import DeadLetter, OutboxContent, OutboxMessage, OutboxState
from mailboxes.models.outbox_message import WAITING
from mailboxes.outbox.accepting import make_due
from mailboxes.outbox.outcomes import keeps_copies
from mailhub.errors import Conflict

_SENT_AGAIN = (OutboxState.FAILED, OutboxState.DEAD, OutboxState.BOUNCED, OutboxState.DEFERRED)


def cancel(message: OutboxMessage) -> None:
    """It shall not leave; the draft that it was is there again.

    Raises Conflict where its first octet may have left already.
    """
    still_here = Q(state__in=WAITING) | Q(state=OutboxState.SENDING, has_begun=False)
    with transaction.atomic():
        changed = OutboxMessage.objects.filter(still_here, pk=message.pk).update(
            state=OutboxState.CANCELLED,
            worker="",
            next_try_at=None,
            finished_at=timezone.now(),
        )
        message.refresh_from_db()
        if not changed and message.state != OutboxState.CANCELLED:
            raise Conflict(
                f"It cannot be cancelled any more: it is {message.state}.", code="too_late"
            )
        reopen(message)


def may_be_sent_again(message: OutboxMessage) -> bool:
    """Whether somebody was not reached, or not yet, and nobody would get it twice."""
    is_left_out = message.state == OutboxState.SENT and bool(message.refused)
    return is_left_out or message.state in _SENT_AGAIN


def retry(message: OutboxMessage, *, may_duplicate: bool = False) -> None:
    """Have it sent again, to all whom no server has accepted it for, or whom it came back from.

    An uncertain one needs `may_duplicate`, as somebody may have it already. Raises Conflict
    for one that is on its way, was accepted for all, was cancelled, or whose octets are
    kept no more.
    """
    if message.state == OutboxState.UNCERTAIN and not may_duplicate:
        raise Conflict(
            'Somebody may have got it already: say {"confirm": "may_duplicate"} to send it again.',
            code="confirmation_required",
        )
    if not OutboxContent.objects.filter(pk=message.pk).exists():
        raise Conflict("The message itself is kept no more.", code="content_gone")
    now = timezone.now()
    with transaction.atomic():
        row = OutboxMessage.objects.select_for_update().get(pk=message.pk)
        is_risked = may_duplicate and row.state == OutboxState.UNCERTAIN
        if not is_risked and not may_be_sent_again(row):
            raise Conflict(f"It cannot be sent again: it is {row.state}.", code="not_over")
        row.state, row.next_try_at, row.finished_at = OutboxState.QUEUED, now, None
        row.tries, row.worker, row.has_begun = 0, "", False
        row.accepted = [each for each in row.accepted if each not in row.bounced]
        row.outstanding = row.unreached
        row.refused, row.bounced, row.asked_again_at = {}, {}, now
        row.save()
        DeadLetter.objects.filter(message=row).delete()
        make_due(row.lane_id, now)
    message.refresh_from_db()


def mark_sent(message: OutboxMessage, *, by: str) -> None:
    """Count an uncertain one as sent, in the words of who decided. Raises Conflict for others."""
    with transaction.atomic():
        row = OutboxMessage.objects.select_for_update().get(pk=message.pk)
        if row.state != OutboxState.UNCERTAIN:
            raise Conflict(f"It is not uncertain: it is {row.state}.", code="not_uncertain")
        row.state, row.worker, row.has_begun = OutboxState.SENT, "", False
        row.accepted, row.outstanding = [*row.accepted, *row.outstanding], []
        row.reply = f"{by} marked it as sent. {row.reply}"
        if keeps_copies(row):
            row.copy_due_at = timezone.now()
        row.save()
    message.refresh_from_db()


def drop_dead_letter(letter: DeadLetter) -> None:
    """Nothing more is to be done about it: the message's octets go too, its record stays."""
    with transaction.atomic():
        give_up(letter.message)
        OutboxContent.objects.filter(pk=letter.message_id).delete()
        letter.delete()

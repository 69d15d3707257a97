"""Settling the shifts of workers that are gone, from what their journals prove.

    the worker                        its journal         what was begun    what was not
    is gone, or silent, machine up    exact               R: R, D: uncertain    queued
    went with its machine             may lack its end    R: R, D: uncertain    uncertain
    is silent for long                cannot be read      uncertain             uncertain

A worker whose lease has lapsed sends nothing (`campaigns.engine.shifts.Lease`), so its rows
can be given to others though it may still run.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from campaigns.engine.claims import in_hand
from campaigns.engine.journal import read_journal, remove_journal
from campaigns.engine.outcomes import Finished, record
from campaigns.engine.processes import Life, life_of
from campaigns.models import DeliveryState, SendShift
from mailhub.logs import get_logger

log = get_logger(__name__)

_LOST = "The worker was lost before the server's answer was seen."


def settle_lost_shifts() -> None:
    """Settle every shift whose worker is gone or has lost its lease."""
    for shift in SendShift.objects.exclude(process=""):
        match life_of(shift.process):
            case Life.GONE:
                _settle(shift, is_exact=True)
            case Life.REBOOTED:
                _settle(shift, is_exact=False)
            case Life.LIVES:
                _settle(shift, is_exact=True, silent_for=settings.MAILHUB_LEASE_SECONDS)
            case Life.HIDDEN:
                if read_journal(shift.journal) is not None:
                    _settle(shift, is_exact=True, silent_for=settings.MAILHUB_LEASE_SECONDS)
                _settle(shift, is_exact=False, silent_for=settings.MAILHUB_LOST_MACHINE_SECONDS)
            case Life.ELSEWHERE:
                # Time for that machine to come back and settle it from its own journal.
                _settle(shift, is_exact=False, silent_for=settings.MAILHUB_LOST_MACHINE_SECONDS)


def _settle(shift: SendShift, *, is_exact: bool, silent_for: float | None = None) -> None:
    """Give each row in its hand a state, and end it: all in one transaction, or not at all.

    Does nothing where the worker was heard of within `silent_for` seconds.
    """
    rows = SendShift.objects.filter(pk=shift.pk, process=shift.process)
    if silent_for is not None:
        rows = rows.filter(renewed_at__lt=Now() - timedelta(seconds=silent_for))
        if not rows.exists():
            return
    with transaction.atomic():
        if not list(rows.select_for_update(skip_locked=True)):
            return
        events = read_journal(shift.journal)
        if events is None:
            events, is_exact = {}, False
        finished: list[Finished] = []
        for pk, attempts in in_hand(shift).values_list("pk", "attempts"):
            attempt = attempts + 1
            known = events.get((pk, attempt))
            if known is not None:
                finished.append(known)
            elif (pk, attempt) in events or not is_exact:
                finished.append(Finished(pk, attempt, DeliveryState.UNCERTAIN, _LOST, ""))
        record(shift, finished)
        back = in_hand(shift).update(shift=None)
        SendShift.objects.filter(pk=shift.pk).delete()
    remove_journal(shift.journal)
    log.warning(
        "settled a lost shift",
        shift=shift.pk,
        ended=sum(each.state != DeliveryState.UNCERTAIN for each in finished),
        uncertain=sum(each.state == DeliveryState.UNCERTAIN for each in finished),
        queued_again=back,
    )

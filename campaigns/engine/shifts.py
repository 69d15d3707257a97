"""Shifts: asking for workers, taking a turn, and being heard of while it lasts."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django_q.tasks import async_task

from campaigns.engine.claims import due, queued
from campaigns.engine.processes import this_process
from campaigns.models import Campaign, SendShift
from mailhub.logs import get_logger

log = get_logger(__name__)

ASKED_AGAIN_AFTER = timedelta(seconds=8)
_ASKED_AGAIN_AT_ONCE = 5
# A quarter of the lease is left for a message that is on its way when it lapses.
_OWN_SHARE = 0.75
_RENEWALS_A_LEASE = 6
_ROWS_A_SHIFT = 200


def top_up_shifts(campaign: Campaign, *, rate: float = 0.0) -> None:
    """Queue as many turns as the campaign has use for, less those that it has.

    One while its audience is not fixed; then one for each worker, if it is large; none before
    its rate limits let it go on. While its server has trouble: none before the next try is
    due, and one for that try. `rate` is that of the turn which the first of them follows.
    """
    rows = Campaign.objects.filter(pk=campaign.pk)
    moments = rows.values_list("trouble_since", "retry_at", "paced_until").first()
    trouble_since, *until = moments or (None,)
    if any(moment is not None and moment > timezone.now() for moment in until):
        return
    wanted = 1
    if campaign.started_at is not None:
        most = _ROWS_A_SHIFT * settings.MAILHUB_WORKERS
        waiting = queued(campaign.pk)[:most].count() or due(campaign.pk)[:most].count()
        wanted = math.ceil(waiting / _ROWS_A_SHIFT)
    if trouble_since is not None:
        wanted = min(wanted, 1)
    if not campaign.is_active or not wanted:
        return
    with transaction.atomic():
        there_are = SendShift.objects.filter(campaign=campaign).count()
        for number in range(wanted - there_are):
            shift = SendShift.objects.create(
                campaign=campaign, asked_at=timezone.now(), rate=0.0 if number else rate
            )
            _enqueue(shift.pk)


def ask_again() -> None:
    """Queue the turns once more that nobody took: a queue may lose what it holds.

    A turn that is taken twice is worked once.
    """
    long_ago = timezone.now() - ASKED_AGAIN_AFTER
    waiting = SendShift.objects.filter(process="", asked_at__lt=long_ago).order_by("asked_at")
    for shift in waiting[:_ASKED_AGAIN_AT_ONCE]:
        mine = SendShift.objects.filter(pk=shift.pk, process="", asked_at=shift.asked_at)
        if mine.update(asked_at=timezone.now()):
            _enqueue(shift.pk)


def take_shift(pk: int) -> SendShift | None:
    """The shift, now this process's; None where it is taken or over."""
    process = this_process()
    waiting = SendShift.objects.filter(pk=pk, process="")
    journal = f"{pk}-{time.time_ns():x}"
    if not waiting.update(process=process, journal=journal, renewed_at=Now()):
        return None
    return SendShift.objects.select_related("campaign__tenant", "campaign__account").get(pk=pk)


def _enqueue(pk: int) -> None:
    transaction.on_commit(lambda: async_task("campaigns.tasks.work_shift", pk))


def _clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system can tell."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Lease:
    """Keeps a shift's row fresh from a thread of its own, whatever the sending does.

    `is_held` turns false well before anybody else may settle the shift, so a worker that was
    cut off from the database stops before its next message. `rate` is asked for the number
    to write beside each renewal.
    """

    def __init__(self, shift: SendShift) -> None:
        self.rate: Callable[[], float] = float
        self._shift = shift
        self._seconds: float = settings.MAILHUB_LEASE_SECONDS
        self._until: float = _clock() + self._seconds * _OWN_SHARE
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @property
    def is_held(self) -> bool:
        """Whether this worker may go on."""
        return _clock() < self._until

    def _keep(self) -> None:
        try:
            while not self._over.wait(self._seconds / _RENEWALS_A_LEASE):
                self._renew()
        finally:
            connection.close()

    def _renew(self) -> None:
        began = _clock()
        mine = SendShift.objects.filter(pk=self._shift.pk, process=self._shift.process)
        try:
            renewed = mine.update(renewed_at=Now(), rate=self.rate())
        except DatabaseError as error:
            connection.close()
            log.warning("lease not renewed", shift=self._shift.pk, error=str(error))
            return
        if renewed:
            self._until = began + self._seconds * _OWN_SHARE
        else:
            self._until = 0.0
            self._over.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

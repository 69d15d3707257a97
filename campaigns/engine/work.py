"""One shift from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from campaigns.audience import fix_audience
from campaigns.engine.journal import Journal, remove_journal
from campaigns.engine.lanes import open_lanes
from campaigns.engine.sender import MakeTransport
from campaigns.engine.shifts import Lease, top_up_shifts
from campaigns.engine.worker import Worker
from campaigns.lifecycle import complete_if_done, may_try, note_trouble, pause_for_quota
from campaigns.models import Campaign, SendShift
from campaigns.servers import way_of
from campaigns.tallies import fold_tallies
from mailhub.encryption import SecretUnreadable
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError, QuotaExceeded
from mailhub.supervised import is_stopping

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing could be sent; final where another try cannot help.

    `frees_in` is set where the day's quota is used up: after so many seconds to ask again.
    """

    words: str
    is_final: bool = False
    frees_in: float | None = None

    @classmethod
    def of(cls, error: MailError) -> Trouble:
        """What a sender met."""
        if isinstance(error, QuotaExceeded):
            return cls(error.message, frees_in=error.retry_after)
        return cls(str(error.reply or error.message), is_final=error.permanent)


Connect = Callable[[Campaign], MakeTransport]


def work_shift(shift: SendShift, connect: Connect = way_of) -> None:
    """Send for as long as a shift lasts, and hand over.

    An exception, or a message that is still on its way, leaves the shift to
    `campaigns.engine.settling`, which finds it by its lease.
    """
    with _durable_commits(), Lease(shift) as lease:
        work = _Shift(shift, lease)
        trouble = work.do(connect)
    if work.is_done:
        _hand_over(shift, trouble)


class _Shift:
    """What a shift does while its lease is kept.

    `is_done` turns false where it could not finish all that it took in hand.
    """

    def __init__(self, shift: SendShift, lease: Lease) -> None:
        self._shift = shift
        self._lease = lease
        self.is_done = True
        self._deadline = time.monotonic() + settings.MAILHUB_SHIFT_SECONDS

    def do(self, connect: Connect) -> Trouble | None:
        """Fix the audience where that is still to do, and send; why nothing could be sent."""
        campaign = self._shift.campaign
        if not fix_audience(campaign, self._may_go_on) or not may_try(campaign):
            return None
        try:
            lanes = open_lanes(campaign, connect)
        except (MailError, MailhubError, SecretUnreadable) as error:
            return Trouble(str(error), is_final=True)
        with Journal(self._shift.journal) as journal:
            worker = Worker(
                self._shift,
                lanes,
                journal,
                is_held=lambda: self._lease.is_held,
                may_go_on=self._may_go_on,
                has_answered=lambda: top_up_shifts(campaign),
            )
            self._lease.rate = worker.rate
            worker.work()
            self.is_done = worker.is_empty_handed
        if not self.is_done:
            log.warning("a message is still on its way", shift=self._shift.pk)
        reason = worker.trouble
        return None if reason is None else Trouble.of(reason)

    def _may_go_on(self) -> bool:
        return time.monotonic() < self._deadline and self._lease.is_held and not is_stopping()


def _hand_over(shift: SendShift, trouble: Trouble | None) -> None:
    """End the shift, and see that the campaign goes on, or ends."""
    with transaction.atomic():
        mine = SendShift.objects.filter(pk=shift.pk, process=shift.process)
        rate = mine.values_list("rate", flat=True).first() or 0.0
        if not mine.delete()[0]:
            return
        Campaign.objects.filter(pk=shift.campaign_id).update(updated_at=timezone.now())
    remove_journal(shift.journal)
    fold_tallies(shift.campaign_id)
    campaign = Campaign.objects.get(pk=shift.campaign_id)
    if complete_if_done(campaign):
        return
    if trouble is not None:
        log.warning("nothing can be sent", campaign=campaign.campaign_id, error=trouble.words)
        if trouble.frees_in is not None:
            pause_for_quota(campaign, trouble.words, trouble.frees_in)
        else:
            note_trouble(campaign, trouble.words, is_final=trouble.is_final)
    elif not is_stopping():
        top_up_shifts(campaign, rate=rate)


@contextmanager
def _durable_commits() -> Iterator[None]:
    """A claim must outlive a power cut, else its messages would be sent again.

    PostgreSQL's commits do; SQLite's are told to.
    """
    if connection.vendor != "sqlite":
        yield
        return
    _set_synchronous("FULL")
    try:
        yield
    finally:
        _set_synchronous("NORMAL")


def _set_synchronous(level: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA synchronous={level}")

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
from campaigns.composing import Composer
from campaigns.engine.journal import Journal, remove_journal
from campaigns.engine.sender import MakeTransport
from campaigns.engine.shifts import Lease, top_up_shifts
from campaigns.engine.worker import Worker
from campaigns.lifecycle import complete_if_done, may_try, note_trouble
from campaigns.models import Campaign, SendShift
from campaigns.servers import server_of
from mailhub.encryption import SecretUnreadable
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError
from mailhub.mail.transports.base import Transport
from mailhub.mail.transports.smtp import SmtpTransport
from mailhub.supervised import is_stopping

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing could be sent; final where another try cannot help."""

    words: str
    is_final: bool


Connect = Callable[[Campaign], MakeTransport]


def connect_by_smtp(campaign: Campaign) -> MakeTransport:
    """How the senders of this campaign come to a connection."""
    server = server_of(campaign)

    def make() -> Transport:
        return SmtpTransport(server)

    return make


def work_shift(shift: SendShift, connect: Connect = connect_by_smtp) -> None:
    """Send for as long as a shift lasts, and hand over.

    An exception leaves the shift to `campaigns.engine.settling`, which finds it by its
    lease.
    """
    with _durable_commits(), Lease(shift) as lease:
        trouble = _Shift(shift, lease).work(connect)
    _hand_over(shift, trouble)


class _Shift:
    """What a shift does while its lease is kept."""

    def __init__(self, shift: SendShift, lease: Lease) -> None:
        self._shift = shift
        self._lease = lease
        self._deadline = time.monotonic() + settings.MAILHUB_SHIFT_SECONDS

    def work(self, connect: Connect) -> Trouble | None:
        """Fix the audience where that is still to do, and send; why nothing could be sent."""
        campaign = self._shift.campaign
        if not fix_audience(campaign, self._may_go_on) or not may_try(campaign):
            return None
        try:
            composer, make_transport = Composer.of(campaign), connect(campaign)
        except (MailError, MailhubError, SecretUnreadable) as error:
            return Trouble(str(error), is_final=True)
        with Journal(self._shift.journal) as journal:
            worker = Worker(
                self._shift,
                composer,
                journal,
                make_transport=make_transport,
                is_held=lambda: self._lease.is_held,
                may_go_on=self._may_go_on,
                has_answered=lambda: top_up_shifts(campaign),
            )
            self._lease.rate = worker.rate
            worker.work()
        reason = worker.trouble
        if reason is None:
            return None
        return Trouble(str(reason.reply or reason.message), is_final=reason.permanent)

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
    campaign = Campaign.objects.get(pk=shift.campaign_id)
    if complete_if_done(campaign):
        return
    if trouble is not None:
        log.warning("nothing can be sent", campaign=campaign.campaign_id, error=trouble.words)
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

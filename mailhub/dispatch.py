"""The dispatcher: small duties that must happen on time, whatever the queue does.

Each duty is cheap, does nothing where there is nothing to do, and may run on several
machines at once. A duty that fails is logged and tried again at its next turn; it never
stops the others. After a crash of every process this is what finds the work left behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import close_old_connections

from accounts.events.courier import COURIER, forget_old_events
from accounts.idempotency import forget_old_requests
from campaigns.feedback.following import follow_notices, forget_notices
from campaigns.feedback.queues import QUEUE_READER
from campaigns.feedback.ses_suppressions import SUPPRESSION_CLERK
from campaigns.tasks import drop_unused_files, remove_orphaned_journals, revive_campaigns
from contacts.tasks import revive_imports
from mailboxes.drafts.copies import DRAFT_CLERK, forget_removals
from mailboxes.drafts.sending import retire_sent
from mailboxes.outbox.dead_letter_queue import DEAD_LETTER_COURIER
from mailboxes.outbox.sending import OUTBOX
from mailboxes.outbox.sent_copies import COPY_CLERK
from mailboxes.reports.reading import read_suspects
from mailhub.logs import get_logger
from mailhub.opt_in import ask_to_confirm

log = get_logger(__name__)

_TICK = 0.1


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do every so many seconds; `finish` ends what it has going on beside."""

    name: str
    act: Callable[[], object]
    every: float
    finish: Callable[[], object] | None = None


DUTIES = (
    Duty("outbox", OUTBOX.start_due, 0.25, OUTBOX.close),
    Duty("sent copies", COPY_CLERK.start_due, 1.0, COPY_CLERK.close),
    Duty("sent drafts", retire_sent, 1.0),
    Duty("draft copies", DRAFT_CLERK.start_due, 1.0, DRAFT_CLERK.close),
    Duty("reports", read_suspects, 0.5),
    Duty("dead letters", DEAD_LETTER_COURIER.start_due, 1.0, DEAD_LETTER_COURIER.close),
    Duty("events", COURIER.start_due, 0.5, COURIER.close),
    Duty("campaigns", revive_campaigns, 1.0),
    Duty("notices of SES", follow_notices, 0.25),
    Duty("queues of SES", QUEUE_READER.start_due, 5.0, QUEUE_READER.close),
    Duty("imports", revive_imports, 1.0),
    Duty("opt-in", ask_to_confirm, 0.5),
    Duty("journals", remove_orphaned_journals, 3600.0),
    Duty("unused files", drop_unused_files, 3600.0),
    Duty("lists of SES", SUPPRESSION_CLERK.start_due, 3600.0, SUPPRESSION_CLERK.close),
    Duty("lifted at SES", SUPPRESSION_CLERK.start_lifting, 60.0),
    Duty("old notices", forget_notices, 3600.0),
    Duty("idempotency keys", forget_old_requests, 3600.0),
    Duty("removed drafts", forget_removals, 3600.0),
    Duty("old events", forget_old_events, 3600.0),
)


def attend(stop: threading.Event, duties: Sequence[Duty] = DUTIES) -> None:
    """Carry out the duties until `stop` is set.

    Returns within a tenth of a second then, and the time that their ends take.
    """
    due = dict.fromkeys((duty.name for duty in duties), 0.0)
    while not stop.is_set():
        for duty in duties:
            if time.monotonic() >= due[duty.name] and not stop.is_set():
                _carry_out(duty)
                due[duty.name] = time.monotonic() + duty.every
        stop.wait(_TICK)
    for duty in duties:
        if duty.finish is not None:
            duty.finish()


def _carry_out(duty: Duty) -> None:
    close_old_connections()
    try:
        duty.act()
    except Exception:
        log.exception("duty failed", duty=duty.name)

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

from accounts.idempotency import forget_old_requests
from campaigns.tasks import remove_orphaned_journals, revive_campaigns
from contacts.tasks import revive_imports
from mailhub.logs import get_logger

log = get_logger(__name__)

_TICK = 0.25


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do every so many seconds."""

    name: str
    act: Callable[[], object]
    every: float


DUTIES = (
    Duty("campaigns", revive_campaigns, 1.0),
    Duty("imports", revive_imports, 1.0),
    Duty("journals", remove_orphaned_journals, 3600.0),
    Duty("idempotency keys", forget_old_requests, 3600.0),
)


def attend(stop: threading.Event, duties: Sequence[Duty] = DUTIES) -> None:
    """Carry out the duties until `stop` is set; returns within a quarter of a second then."""
    due = dict.fromkeys((duty.name for duty in duties), 0.0)
    while not stop.is_set():
        for duty in duties:
            if time.monotonic() >= due[duty.name] and not stop.is_set():
                _carry_out(duty)
                due[duty.name] = time.monotonic() + duty.every
        stop.wait(_TICK)


def _carry_out(duty: Duty) -> None:
    close_old_connections()
    try:
        duty.act()
    except Exception:
        log.exception("duty failed", duty=duty.name)

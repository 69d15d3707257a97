"""`manage.py watch_mailboxes`: has each account synced when its interval is over."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections

from mailboxes.tasks import queue_due_syncs
from mailhub.logs import get_logger

log = get_logger(__name__)

LOOKS_EVERY = 2.0


class Command(BaseCommand):
    help = "Queues a sync of each account that is due, until it is told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        watch(stop)


def watch(stop: threading.Event) -> None:
    """Look at the accounts every two seconds until `stop` is set."""
    while not stop.is_set():
        close_old_connections()
        try:
            queue_due_syncs()
        except Exception:
            log.exception("could not queue the syncs that are due")
        stop.wait(LOOKS_EVERY)

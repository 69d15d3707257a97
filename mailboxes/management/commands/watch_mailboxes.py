"""`manage.py watch_mailboxes`: has new mail here at once, and each account synced in time."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from mailboxes.watching.watcher import Habits, MailboxWatcher
from mailhub.logs import get_logger

log = get_logger(__name__)

# Log, database, threads in the middle of something.
_OTHER_DESCRIPTORS = 200


class Command(BaseCommand):
    help = (
        "Waits for news of the enabled accounts and queues a sync of each when its interval is "
        "over, until it is told to stop."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        habits = Habits(
            most=min(settings.MAILHUB_WATCHED_ACCOUNTS, _most_connections()),
            renew_after=settings.MAILHUB_IDLE_RENEWAL_SECONDS,
        )
        if not asyncio.run(_watch(habits)):
            # A thread waits for a mail server, and would as the interpreter goes down beneath it.
            logging.shutdown()
            sys.stdout.flush()
            os._exit(0)


async def _watch(habits: Habits) -> bool:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await MailboxWatcher(habits).run(stop)


def _most_connections() -> int:
    """How many descriptors this process may have, after asking for all that it can."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.MAILHUB_WATCHED_ACCOUNTS + _OTHER_DESCRIPTORS
    limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        soft = limit
    if soft < wanted:
        log.warning("too few file descriptors for all connections", descriptors=soft)
    return max(0, soft - _OTHER_DESCRIPTORS)

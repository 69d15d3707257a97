"""One first pass of an account into an empty database, in a process of its own.

    python -m bench.sync_once '{"port": 1143, "user": "…", "password": "…"}'

Prints JSON: seconds, processor_seconds, first_page_seconds (until fifty messages of the
inbox can be listed; null where there are fewer), messages, no_change_seconds (the median of
five further passes), peak_mb (of this process alone). DATABASE_URL chooses the database,
SQLite without it. With "profile" it writes cProfile's data to that
file.
"""

from __future__ import annotations

import cProfile
import json
import resource
import statistics
import sys
import threading
import time
import uuid

from tests import environment

environment.prepare()

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "mailhub.settings"

import django

django.setup()

from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.connections import store_of
from mailboxes.models import FolderEntry, FolderRole, Message
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.warm_up import spare_what_is_loaded
from tests.people import People


def main() -> None:
    """Run as the docstring says."""
    told = json.loads(sys.argv[1])
    call_command("migrate", verbosity=0)
    people = People()
    account = people.connect_account(
        people.member,
        password=told["password"],
        username=told["user"],
        hostname="127.0.0.1",
        port=told["port"],
        encryption="none",
    )
    spare_what_is_loaded()
    before, processor = time.perf_counter(), time.process_time()
    page = FirstPage(account, before)
    page.start()
    profile = cProfile.Profile() if told.get("profile") else None
    if profile:
        profile.enable()
    run_pass(account)
    if profile:
        profile.disable()
        profile.dump_stats(told["profile"])
    seconds, processor = time.perf_counter() - before, time.process_time() - processor
    page.is_over = True
    page.join()
    no_change = statistics.median(timed_pass(account) for _ in range(5))
    assert not FolderEntry.objects.filter(lacks_body=True).exists()
    json.dump(
        {
            "seconds": seconds,
            "processor_seconds": processor,
            "first_page_seconds": page.seconds,
            "messages": Message.objects.count(),
            "no_change_seconds": no_change,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        },
        sys.stdout,
    )


def timed_pass(account: EmailAccount) -> float:
    """Seconds from connecting to the end."""
    began = time.perf_counter()
    run_pass(account)
    return time.perf_counter() - began


def run_pass(account: EmailAccount) -> None:
    """A pass over everything, as a worker carries it out."""
    with store_of(account) as store:
        order = Order(uuid.uuid4(), timezone.now())
        Pass(store, account.pk, order, Control(Progress())).run()


class FirstPage(threading.Thread):
    """Looks every 50 ms whether a person would see a page of the inbox."""

    def __init__(self, account: EmailAccount, started: float) -> None:
        super().__init__(daemon=True)
        self._account, self._began = account, started
        self.seconds: float | None = None
        self.is_over = False

    def run(self) -> None:
        rows = FolderEntry.objects.filter(account=self._account, folder__role=FolderRole.INBOX)
        while self.seconds is None and not self.is_over:
            if rows[:50].count() == 50:
                self.seconds = time.perf_counter() - self._began
            time.sleep(0.05)
        connection.close()


if __name__ == "__main__":
    main()

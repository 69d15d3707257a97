"""Watchers share the accounts: each is one's, and what one leaves another takes over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import SyncRun, SyncState, Watch, Watcher, WatchState
from mailboxes.watching.roster import Roster
from tests.mailboxes.conftest import Connected, raw_message
from tests.mailboxes.runs import database_url
from tests.mailboxes.watching.watchers import (
    CrowdServer,
    Watching,
    arrives,
    stands,
)
from tests.people import People
from tests.servers.processes import wait_until
from tests.servers.site import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_account_has_one_watcher(people: People) -> None:
    with CrowdServer() as server:
        for number in range(6):
            crowd_account(people, server, number)
        with Watching(most=4) as first:
            stands(WatchState.WATCHING, 4)
            with Watching(most=4):
                stands(WatchState.WATCHING, 6)
                assert server.waiting == 6
                first.stop()
                wait_until(lambda: Watch.objects.count() == 4, "it has taken over what it may")
                stands(WatchState.WATCHING, 4)


def test_the_accounts_of_a_killed_watcher_are_taken_over(synced: Connected) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "watch_mailboxes", "--skip-checks"],
        env={**os.environ, "DATABASE_URL": database_url()},
        cwd=ROOT,
    )
    stands(WatchState.WATCHING)
    process.send_signal(signal.SIGKILL)
    process.wait()
    dead = Watch.objects.get().watcher_id
    with Watching():
        wait_until(lambda: Watcher.objects.count() == 2, "the other looks")
        assert Watch.objects.get().watcher_id == dead, "not yet"
        Watcher.objects.filter(pk=dead).update(renewed_at=Now() - timedelta(seconds=21))
        wait_until(lambda: not Watch.objects.filter(watcher=dead).exists(), "taken over")
        stands(WatchState.WATCHING)
        synced.user.deliver(raw_message("m"))
        arrives("m")


def test_a_watcher_that_was_taken_for_dead_begins_anew(synced: Connected) -> None:
    roster = Roster(most=10)
    assert len(roster.look()) == 1
    Watch.objects.all().delete()
    Watcher.objects.all().delete()
    roster._renewed = 0
    assert len(roster.look()) == 1
    roster.leave()


def test_a_look_costs_the_same_for_hundreds(people: People) -> None:
    def add(start: int, end: int) -> None:
        for number in range(start, end):
            people.connect_account(people.member, email_address=f"{number}@acme.example")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert len(roster.look()) == EmailAccount.objects.count()
        return len(queries) - 1

    add(0, 2)
    roster = Roster(most=1000)
    roster.look()
    few = cost()
    add(2, 202)
    roster.look()
    assert cost() == few == 2


def test_two_hundred_accounts_in_a_handful_of_threads(people: People) -> None:
    with CrowdServer() as server:
        for number in range(200):
            crowd_account(people, server, number)
        before = threading.active_count()
        with Watching() as watcher:
            wait_until(lambda: server.waiting == 200, "all of them wait")
            assert threading.active_count() - before < 35
            stands(WatchState.WATCHING, 200)
        assert watcher.ended_well


def test_a_host_that_takes_no_more_is_watched_in_part(people: People) -> None:
    with CrowdServer(most=12) as server:
        for number in range(20):
            crowd_account(people, server, number)
        with Watching():
            polled = Watch.objects.filter(state=WatchState.POLLED)
            wait_until(lambda: polled.count() >= 10, "the rest is polled")
            stands(WatchState.WATCHING, 20 - polled.count())
            assert server.waiting <= 10, "passes find room"


def crowd_account(people: People, server: CrowdServer, number: int) -> EmailAccount:
    """Not due for a pass, of which the server knows nothing."""
    account = people.connect_account(
        people.member,
        email_address=f"{number}@acme.example",
        port=server.port,
        encryption="none",
    )
    SyncRun.objects.create(account=account, state=SyncState.COMPLETED, finished_at=timezone.now())
    return account

"""Runs: asked for, claimed once, watched, cancelled, taken over, over servers that fall silent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from django_q.brokers import get_broker

from accounts.models import EmailAccount
from mailboxes.models import FolderEntry, Message, SyncRun, SyncState
from mailboxes.sync.requesting import cancel_sync, request_sync
from mailboxes.sync.running import carry_out
from mailboxes.tasks import queue_due_syncs, run_sync
from tests.mailboxes.conftest import Connected, raw_message
from tests.mailboxes.runs import fresh
from tests.people import People
from tests.servers.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class SilentServer:
    """Takes connections and never says a word, until it hangs up on all."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._take)
        self._thread.start()
        self.port: int = self._listener.getsockname()[1]

    def hang_up(self) -> None:
        if self._listener.fileno() != -1:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._listener.close()
        for taken in self._taken:
            taken.close()

    def _take(self) -> None:
        try:
            while True:
                self._taken.append(self._listener.accept()[0])
        except OSError:
            return


@pytest.fixture
def silent_server() -> Iterator[SilentServer]:
    server = SilentServer()
    yield server
    server.hang_up()


@pytest.fixture
def hanging(people: People, silent_server: SilentServer) -> EmailAccount:
    """An account of which a pass waits in vain for its server."""
    return people.connect_account(people.member, port=silent_server.port, encryption="none")


@pytest.fixture
def in_background(silent_server: SilentServer) -> Iterator[Callable[[SyncRun], threading.Thread]]:
    """Carries out a run in a thread; every thread is waited for in the end."""
    threads: list[threading.Thread] = []

    def work(run: SyncRun) -> None:
        try:
            carry_out(run.pk)
        finally:
            connections.close_all()

    def start(run: SyncRun) -> threading.Thread:
        thread = threading.Thread(target=work, args=(run,))
        thread.start()
        threads.append(thread)
        wait_until(lambda: fresh(run).state == SyncState.STARTED, "the run is claimed")
        return thread

    yield start
    silent_server.hang_up()
    for thread in threads:
        thread.join()


def test_asking_twice_before_it_begins_is_one_run(connected: Connected) -> None:
    first = request_sync(connected.account, folders=["Sent"])
    second = request_sync(connected.account, folders=["INBOX"], is_full=True)
    assert second.run.pk == first.run.pk
    assert not second.queued_again
    run = fresh(first.run)
    assert (run.folders, run.is_full) == (["INBOX", "Sent"], True)
    request_sync(connected.account)
    assert fresh(run).folders == []


def test_many_at_once_are_one_run(connected: Connected) -> None:
    found: list[SyncRun] = []

    def ask() -> None:
        try:
            found.append(request_sync(connected.account).run)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.pk for run in found}) == 1
    assert len(found) == 6


def test_asking_while_it_runs_has_another_follow(
    hanging: EmailAccount,
    in_background: Callable[[SyncRun], threading.Thread],
    silent_server: SilentServer,
) -> None:
    run = request_sync(hanging).run
    thread = in_background(run)
    assert EmailAccount.objects.get(pk=hanging.pk).is_syncing
    again = request_sync(hanging, folders=["INBOX"])
    assert (again.run.pk, again.queued_again) == (run.pk, True)
    silent_server.hang_up()
    thread.join()
    assert fresh(run).state == SyncState.FAILED
    assert fresh(run).error_code == "connection_failed"
    following = SyncRun.objects.active().get(account=hanging)
    assert (following.state, following.folders) == (SyncState.QUEUED, ["INBOX"])


def test_a_run_is_carried_out_by_one_worker(
    hanging: EmailAccount,
    in_background: Callable[[SyncRun], threading.Thread],
    silent_server: SilentServer,
) -> None:
    run = request_sync(hanging).run
    in_background(run)
    assert not carry_out(run.pk)
    assert queue_due_syncs() == 0


def test_a_cancel_takes_effect_though_the_server_is_silent(
    hanging: EmailAccount,
    in_background: Callable[[SyncRun], threading.Thread],
    silent_server: SilentServer,
) -> None:
    run = request_sync(hanging).run
    thread = in_background(run)
    request_sync(hanging)
    cancel_sync(run)
    wait_until(lambda: fresh(run).state == SyncState.CANCELLED, "cancelled")
    assert thread.is_alive(), "the pass still waits for its server"
    assert not SyncRun.objects.active().exists(), "what should have followed is cancelled too"
    assert not EmailAccount.objects.get(pk=hanging.pk).is_syncing


def test_cancelling_one_that_waits_is_immediate(connected: Connected) -> None:
    run = request_sync(connected.account).run
    assert cancel_sync(run).state == SyncState.CANCELLED
    run_sync(str(run.pk))
    assert fresh(run).state == SyncState.CANCELLED
    assert not Message.objects.exists()


def test_a_run_whose_worker_fell_silent_is_taken_over(connected: Connected, people: People) -> None:
    connected.user.deliver(raw_message("m"))
    run = request_sync(connected.account).run
    long_ago = timezone.now() - timedelta(seconds=30)
    SyncRun.objects.filter(pk=run.pk).update(
        state=SyncState.RUNNING,
        worker="dead:1",
        started_at=long_ago,
        heartbeat_at=long_ago,
        enqueued_at=long_ago,
    )
    before = get_broker().queue_size()
    queue_due_syncs()
    assert get_broker().queue_size() == before + 1, "handed out again"
    queue_due_syncs()
    assert get_broker().queue_size() == before + 1, "once"
    run_sync(str(run.pk))
    assert fresh(run).state == SyncState.COMPLETED
    assert Message.objects.get().subject == "m"


def test_a_worker_that_lost_its_run_does_not_end_it(
    hanging: EmailAccount,
    in_background: Callable[[SyncRun], threading.Thread],
    silent_server: SilentServer,
) -> None:
    run = request_sync(hanging).run
    thread = in_background(run)
    SyncRun.objects.filter(pk=run.pk).update(worker="another:2")
    silent_server.hang_up()
    thread.join()
    assert (fresh(run).state, fresh(run).worker) == (SyncState.STARTED, "another:2")


def test_what_a_turn_leaves_the_next_takes_up(connected: Connected) -> None:
    for number in range(5):
        connected.user.deliver(raw_message(f"m{number}"))
    run = request_sync(connected.account).run
    assert carry_out(run.pk, seconds=0)
    left = fresh(run)
    assert (left.state, left.worker) == (SyncState.STARTED, "")
    assert carry_out(run.pk)
    assert fresh(run).state == SyncState.COMPLETED
    assert FolderEntry.objects.count() == 5


def test_deleting_an_account_in_the_middle_harms_nobody(
    hanging: EmailAccount,
    in_background: Callable[[SyncRun], threading.Thread],
    silent_server: SilentServer,
) -> None:
    run = request_sync(hanging).run
    thread = in_background(run)
    hanging.delete()
    silent_server.hang_up()
    thread.join()
    assert not SyncRun.objects.exists()

"""Runs: asked for, claimed once, watched, ended; over a real Dovecot and servers that fail."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection, connections
from django.utils import timezone
from django_q.brokers import get_broker

from accounts.models import EmailAccount
from mailboxes.models import FolderEntry, Message, SyncRun, SyncState
from mailboxes.sync.requesting import cancel_sync, request_sync
from mailboxes.sync.running import carry_out
from mailboxes.tasks import queue_due_syncs, run_sync
from mailhub.mail.octets import LARGE
from tests.mailboxes.conftest import raw_message
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.processes import free_port, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Connected:
    """An account whose mailbox lies on Dovecot."""

    account: EmailAccount
    user: DovecotUser


@pytest.fixture
def connected(people: People, dovecot_user: DovecotUser) -> Connected:
    account = people.connect_account(
        people.member,
        password=dovecot_user.password,
        username=dovecot_user.name,
        port=dovecot_user.server.port,
        encryption="none",
    )
    return Connected(account, dovecot_user)


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


def fresh(run: SyncRun) -> SyncRun:
    return SyncRun.objects.get(pk=run.pk)


def sync(account: EmailAccount) -> SyncRun:
    """One run, carried out here; how it ended."""
    run = request_sync(account).run
    run_sync(str(run.pk))
    return fresh(run)


def test_a_run_over_dovecot(connected: Connected) -> None:
    for number in range(3):
        connected.user.deliver(raw_message(f"m{number}"))
    connected.user.deliver(raw_message("sent"), "Sent")
    run = sync(connected.account)
    assert (run.state, run.error) == (SyncState.COMPLETED, "")
    assert (run.messages_done, run.messages_total, run.percent) == (4, 4, 100)
    assert run.folders_done == run.folders_total > 1
    connected.account.refresh_from_db()
    assert connected.account.last_sync_at == run.finished_at
    assert not connected.account.is_syncing
    subjects = Message.objects.values_list("subject", flat=True)
    assert sorted(subjects) == ["m0", "m1", "m2", "sent"]


def test_a_wrong_password_fails_clearly_and_in_the_end_disables(
    connected: Connected, people: People
) -> None:
    account = people.connect_account(
        people.member,
        password="not-the-password",
        username=connected.user.name,
        port=connected.user.server.port,
        encryption="none",
    )
    for _ in range(2):
        run = sync(account)
        assert (run.state, run.error_code) == (SyncState.FAILED, "login_failed")
        assert run.error and "not-the-password" not in run.error
        account.refresh_from_db()
        assert account.is_enabled
    run = sync(account)
    account.refresh_from_db()
    assert not account.is_enabled
    assert account.disabled_reason == run.error
    assert sync(account).error_code == "account_disabled"
    assert queue_due_syncs() == 1, "the other account alone"

    account.is_enabled, account.disabled_reason = True, ""
    account.save()
    sync(account)
    account.refresh_from_db()
    assert account.is_enabled, "an account that was changed has another chance"


def test_a_dead_host_fails_for_now(people: People) -> None:
    account = people.connect_account(people.member, port=free_port(), encryption="none")
    for _ in range(4):
        run = sync(account)
        assert (run.state, run.error_code) == (SyncState.FAILED, "connection_failed")
    account.refresh_from_db()
    assert account.is_enabled
    assert not account.is_syncing


def test_a_private_address_is_refused(connected: Connected, settings: Any) -> None:
    settings.MAILHUB_ALLOWED_NETWORKS = []
    run = sync(connected.account)
    assert (run.state, run.error_code) == (SyncState.FAILED, "host_not_allowed")


def test_a_large_message_that_cannot_be_stored_here_is_not_the_servers_fault(
    connected: Connected, settings: Any, tmp_path: Path
) -> None:
    settings.MAILHUB_DATA_DIR = tmp_path
    (tmp_path / "raw").write_bytes(b"in the way")
    connected.user.deliver(raw_message("large", text="z" * (LARGE + 1)))
    run = sync(connected.account)
    assert (run.state, run.error_code) == (SyncState.FAILED, "storage_failed")
    (tmp_path / "raw").unlink()
    assert sync(connected.account).state == SyncState.COMPLETED
    assert Message.objects.get().body_state == "stored"


def test_a_missing_folder_is_named(connected: Connected) -> None:
    run = request_sync(connected.account, folders=["Nowhere"]).run
    run_sync(str(run.pk))
    assert fresh(run).error == "The account has no folder Nowhere."


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


def test_accounts_are_due_by_their_interval(connected: Connected) -> None:
    account = EmailAccount.objects.filter(pk=connected.account.pk)
    assert queue_due_syncs() == 1
    assert queue_due_syncs() == 0, "one is queued"
    run = SyncRun.objects.get()
    run_sync(str(run.pk))
    assert queue_due_syncs() == 0, "not due yet"
    SyncRun.objects.update(finished_at=timezone.now() - timedelta(seconds=301))
    for field in ("is_sync_enabled", "is_enabled"):
        account.update(**{field: False})
        assert queue_due_syncs() == 0
        account.update(**{field: True})
    assert queue_due_syncs() == 1


def test_failures_in_a_row_are_tried_ever_less_often(people: People) -> None:
    account = people.connect_account(people.member, port=free_port(), encryption="none")
    for _ in range(2):
        sync(account)
    for seconds, due in ((1100, 0), (1400, 1)):  # 300 s, doubled twice, and up to a tenth
        SyncRun.objects.update(finished_at=timezone.now() - timedelta(seconds=seconds))
        assert queue_due_syncs() == due


def fail_thrice(people: People, user: DovecotUser) -> EmailAccount:
    """An account that was disabled for its password."""
    account = people.connect_account(
        people.member,
        password="not-the-password",
        username=user.name,
        port=user.server.port,
        encryption="none",
    )
    for _ in range(3):
        sync(account)
    account.refresh_from_db()
    assert not account.is_enabled
    return account


def test_an_account_that_was_repaired_is_synced_at_once(
    people: People, dovecot_user: DovecotUser
) -> None:
    account = fail_thrice(people, dovecot_user)
    assert queue_due_syncs() == 0
    answer = people.member.api.patch(
        f"/api/accounts/{account.pk}", {"password": dovecot_user.password, "isEnabled": True}
    )
    assert answer.status_code == 200, answer.content
    assert queue_due_syncs() == 1
    run = SyncRun.objects.active().get()
    run_sync(str(run.pk))
    assert fresh(run).state == SyncState.COMPLETED
    assert queue_due_syncs() == 0, "the pass itself changes no account"


def test_failures_of_before_a_change_do_not_slow_down(
    people: People, dovecot_user: DovecotUser
) -> None:
    account = fail_thrice(people, dovecot_user)
    people.member.api.patch(f"/api/accounts/{account.pk}", {"isEnabled": True})
    sync(account)
    for seconds, due in ((590, 0), (670, 1)):  # 300 s, doubled once, and up to a tenth
        SyncRun.objects.update(finished_at=timezone.now() - timedelta(seconds=seconds))
        assert queue_due_syncs() == due


def test_a_folder_that_was_read_ends_the_patience_with_a_server(
    connected: Connected,
) -> None:
    whole = request_sync(connected.account).run
    ended = timezone.now() - timedelta(seconds=310)
    SyncRun.objects.filter(pk=whole.pk).update(state=SyncState.FAILED, finished_at=ended)
    assert queue_due_syncs() == 0, "it failed"
    run_sync(str(request_sync(connected.account, folders=["INBOX"]).run.pk))
    assert queue_due_syncs() == 1


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


def database_url() -> str:
    """The DATABASE_URL of the tests' own database."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()

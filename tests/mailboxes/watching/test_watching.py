"""The watcher: new mail at once, over a real Dovecot and servers that misbehave."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from mailboxes.models import SyncRun, SyncState, Watch, Watcher, WatchState
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import Outcome, end
from mailboxes.tasks import run_sync
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import SILENCE, ScriptedImapServer
from tests.mailboxes.conftest import Connected, raw_message
from tests.mailboxes.watching.watchers import (
    Watching,
    arrives,
    stands,
)
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.processes import wait_until
from tests.servers.relay import Relay

pytestmark = pytest.mark.django_db(transaction=True)


def test_new_mail_is_here_without_any_worker(synced: Connected) -> None:
    with Watching() as watcher:
        stands(WatchState.WATCHING)
        for number in range(3):
            synced.user.deliver(raw_message(f"m{number}"))
            arrives(f"m{number}")
    assert watcher.ended_well
    runs = SyncRun.objects.exclude(folders=[])
    assert {tuple(run.folders) for run in runs} == {("INBOX",)}
    assert {run.state for run in runs} == {SyncState.COMPLETED}
    assert not Watcher.objects.exists(), "it left"
    assert not Watch.objects.exists()


def test_news_of_other_folders_come_by_notify(synced: Connected) -> None:
    with Watching():
        stands(WatchState.WATCHING)
        with ImapStore(synced.user.settings()) as other:
            other.append("Sent", raw_message("sent"))
        arrives("sent")


def test_a_pass_over_a_known_folder_asks_for_no_list(
    people: People, dovecot_user: DovecotUser
) -> None:
    with Relay(dovecot_user.server.port) as relay:
        account = people.connect_mailbox(people.member, dovecot_user, port=relay.port)
        run_sync(str(request_sync(account).run.pk))
        before = len(relay.commands)
        dovecot_user.deliver(raw_message("m"))
        run_sync(str(request_sync(account, folders=["INBOX"]).run.pk))
        arrives("m")
        assert not any(line.startswith("LIST") for line in relay.commands[before:])

        dovecot_user.deliver(raw_message("new"), "Made since")
        run_sync(str(request_sync(account, folders=["Made since", "INBOX"]).run.pk))
        arrives("new")


def test_a_burst_is_followed_by_few_passes(synced: Connected) -> None:
    with Watching():
        stands(WatchState.WATCHING)
        for number in range(30):
            synced.user.deliver(raw_message(f"m{number}"))
        for number in range(30):
            arrives(f"m{number}")
    assert SyncRun.objects.exclude(folders=[]).count() < 20


def test_what_came_while_nobody_listened_is_fetched_at_once(synced: Connected) -> None:
    synced.user.deliver(raw_message("before"))
    with Watching():
        arrives("before")


def test_a_broken_connection_is_made_anew_and_nothing_is_missed(
    people: People, dovecot_user: DovecotUser
) -> None:
    with Relay(dovecot_user.server.port) as relay:
        account = people.connect_mailbox(people.member, dovecot_user, port=relay.port)
        run_sync(str(request_sync(account).run.pk))
        with Watching(renew_after=0.3, answer_within=1.0):
            stands(WatchState.WATCHING)
            relay.hang_up()
            dovecot_user.deliver(raw_message("one"))
            arrives("one")
            stands(WatchState.WATCHING)
            wait_until(lambda: not SyncRun.objects.active().exists(), "the pass has ended")
            relay.fall_silent()
            dovecot_user.deliver(raw_message("two"))
            arrives("two")


def test_a_silent_server_keeps_nobody_waiting(synced: Connected, people: People) -> None:
    """Neither the other accounts, nor the end."""
    with ScriptedImapServer(greeting=SILENCE) as server:
        for name in ("a", "b", "c", "d", "e", "f"):
            people.connect_account(
                people.member,
                email_address=f"{name}@acme.example",
                hostname="localhost",
                port=server.port,
                encryption="none",
            )
        with Watching() as watcher:
            stands(WatchState.WATCHING)
            synced.user.deliver(raw_message("m"))
            arrives("m")
        assert watcher.ended_well


def test_a_run_that_another_has_is_followed(synced: Connected) -> None:
    run = SyncRun.objects.create(
        account=synced.account,
        state=SyncState.RUNNING,
        worker="other",
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
    )
    with Watching():
        stands(WatchState.WATCHING)
        synced.user.deliver(raw_message("m"))
        asked = SyncRun.objects.filter(pk=run.pk, again__isnull=False)
        wait_until(asked.exists, "another is to follow")
        end(run, "other", Outcome(SyncState.COMPLETED))
        arrives("m")


def test_a_run_whose_worker_is_gone_does_not_keep_news_waiting(synced: Connected) -> None:
    long_ago = timezone.now() - timedelta(seconds=30)
    SyncRun.objects.create(
        account=synced.account,
        state=SyncState.RUNNING,
        worker="dead",
        started_at=long_ago,
        heartbeat_at=long_ago,
    )
    synced.user.deliver(raw_message("m"))
    with Watching():
        arrives("m")

"""The watcher: new mail at once, over a real Dovecot and servers that misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Credential, CredentialKind, EmailAccount
from mailboxes.models import Message, SyncRun, SyncState, Watch, Watcher, WatchState
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import Outcome, end
from mailboxes.tasks import queue_due_syncs, run_sync
from mailboxes.watching.roster import Roster
from mailhub.mail.stores.imap import ImapStore
from tests.mail.scripted_imap import SILENCE, ScriptedImapServer
from tests.mailboxes.conftest import raw_message
from tests.mailboxes.operation_calls import trust
from tests.mailboxes.test_running import Connected, connected, database_url
from tests.mailboxes.watching import CrowdServer, Watching, stands
from tests.people import People
from tests.servers.dovecot import DovecotServer, DovecotUser
from tests.servers.oauth2 import TokenServer
from tests.servers.processes import wait_until
from tests.servers.relay import Relay
from tests.servers.site import ROOT

__all__ = ["connected"]
pytestmark = pytest.mark.django_db(transaction=True)

WITH_IDLE = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\n<tag> OK\r\n",
    "IDLE": b"+ idling\r\n",
    "DONE": b"",
}
REFUSAL = b"<tag> NO [AUTHENTICATIONFAILED] no\r\n"


@pytest.fixture
def synced(connected: Connected) -> Connected:
    """Synced a moment ago: what comes now comes by watching."""
    run_sync(str(request_sync(connected.account).run.pk))
    return connected


def arrives(subject: str) -> None:
    rows = Message.objects.filter(subject=subject, body_state="stored")
    wait_until(rows.exists, f"{subject} is here")


def scripted_account(people: People, server: ScriptedImapServer | CrowdServer) -> EmailAccount:
    return people.connect_account(people.member, port=server.port, encryption="none")


def logins(server: ScriptedImapServer) -> int:
    return sum(line.startswith(b"LOGIN") for line in list(server.received))


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
        account = people.connect_account(
            people.member,
            password=dovecot_user.password,
            username=dovecot_user.name,
            port=relay.port,
            encryption="none",
        )
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
        account = people.connect_account(
            people.member,
            password=dovecot_user.password,
            username=dovecot_user.name,
            port=relay.port,
            encryption="none",
        )
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


def test_accounts_come_change_and_go(connected: Connected, people: People) -> None:
    account = EmailAccount.objects.get(pk=connected.account.pk)
    with ScriptedImapServer(WITH_IDLE) as server, Watching():
        stands(WatchState.WATCHING)
        added = scripted_account(people, server)
        stands(WatchState.WATCHING, 2)
        assert logins(server) == 1

        account.is_sync_enabled = False
        account.save()
        wait_until(lambda: not Watch.objects.filter(account=account).exists(), "given back")
        account.is_sync_enabled = True
        account.save()
        stands(WatchState.WATCHING, 2)
        EmailAccount.objects.filter(pk=account.pk).update(is_enabled=False)
        wait_until(lambda: not Watch.objects.filter(account=account).exists(), "given back")

        added.credential.keep_secret({"password": "another"})
        added.credential.save()
        wait_until(lambda: logins(server) == 2, "it comes with the new password")
        assert b"another" in server.received[-3] + server.received[-4] + server.received[-2]
        added.disconnect()
        wait_until(lambda: not Watch.objects.exists(), "nobody is left")


def test_a_refused_login_is_not_tried_again_until_something_changes(people: People) -> None:
    with ScriptedImapServer(WITH_IDLE | {"LOGIN": REFUSAL}) as server, Watching():
        account = scripted_account(people, server)
        stands(WatchState.REFUSED)
        seen = Watch.objects.get()
        assert "refused the login" in seen.note
        assert EmailAccount.objects.get().is_enabled, "passes decide about that"
        other = people.connect_account(people.teammate, port=server.port, encryption="none")
        stands(WatchState.REFUSED, 2)
        assert logins(server) == 2, "the first was left alone meanwhile"
        other.disconnect()

        server.answers["LOGIN"] = b"<tag> OK\r\n"
        account.save()
        stands(WatchState.WATCHING)

        server.answers["LOGIN"] = REFUSAL
        account.save()
        stands(WatchState.REFUSED)
        server.answers["LOGIN"] = b"<tag> OK\r\n"
        EmailAccount.objects.update(last_sync_at=timezone.now())
        stands(WatchState.WATCHING)


def test_a_token_is_renewed_to_get_in_and_stays_in_when_it_is_renewed_again(
    people: People,
    oauth2_dovecot: DovecotServer,
    token_server: TokenServer,
    tmp_path: Path,
    settings: Any,
) -> None:
    settings.MAILHUB_CA_FILE = trust(tmp_path, oauth2_dovecot, token_server)
    user = oauth2_dovecot.add_user("watched-by-token@example.org", "unused")
    grant = token_server.grant(user.name)
    account = people.connect_account(
        people.member, username=user.name, port=oauth2_dovecot.port, encryption="none"
    )
    credential = account.credential
    credential.kind = CredentialKind.OAUTH2
    credential.keep_secret(
        {
            "access_token": "expired",
            "refresh_token": grant.refresh_token,
            "client_id": "client",
            "client_secret": "hidden",
            "token_url": token_server.token_url,
            "expires_at": 0.0,
        }
    )
    credential.save()
    with Watching():
        stands(WatchState.WATCHING)
        since = Watch.objects.get().since
        assert Credential.objects.get().reveal_secret()["access_token"] != "expired"
        Credential.objects.get().save()
        people.connect_account(people.teammate, port=1)
        wait_until(lambda: Watch.objects.count() == 2, "it has looked again")
        assert Watch.objects.get(account=account).since == since, "still the same connection"


def test_too_many_connections_are_tried_again(people: People) -> None:
    refusal = b"<tag> NO [LIMIT] Too many simultaneous connections.\r\n"
    with ScriptedImapServer(WITH_IDLE | {"LOGIN": refusal}) as server, Watching():
        scripted_account(people, server)
        wait_until(lambda: logins(server) >= 3, "it tries again")
        server.answers["LOGIN"] = b"<tag> OK\r\n"
        stands(WatchState.WATCHING)


def test_a_server_without_idle_is_left_to_the_interval(people: People) -> None:
    with ScriptedImapServer() as server, Watching():
        scripted_account(people, server)
        stands(WatchState.POLLED)
        assert "does not tell of news" in Watch.objects.get().note


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


def test_passes_over_one_folder_do_not_put_off_the_others(synced: Connected) -> None:
    SyncRun.objects.update(finished_at=timezone.now() - timedelta(seconds=301))
    run_sync(str(request_sync(synced.account, folders=["INBOX"]).run.pk))
    assert queue_due_syncs() == 1


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

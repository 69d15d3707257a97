"""`manage.py sync_mailboxes` and `watch_mailboxes`."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from mailboxes.models import Message, SyncRun, SyncState
from tests.mailboxes.conftest import Connected, raw_message
from tests.mailboxes.runs import database_url
from tests.people import People
from tests.servers.processes import free_port, wait_until
from tests.servers.site import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_syncs_every_account_and_says_so(connected: Connected) -> None:
    connected.user.deliver(raw_message("one"))
    said = io.StringIO()
    call_command("sync_mailboxes", stdout=said)
    assert said.getvalue() == f"{connected.account.email_address}: Completed: 1 messages.\n"
    assert Message.objects.get().subject == "one"
    assert SyncRun.objects.get().state == SyncState.COMPLETED


def test_a_failure_is_told_by_the_exit_code(connected: Connected, people: People) -> None:
    people.connect_account(
        people.teammate, email_address="dead@acme.example", port=free_port(), encryption="none"
    )
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("sync_mailboxes", stdout=said)
    assert ended.value.code == 1
    lines = said.getvalue().splitlines()
    assert lines[0].startswith("dead@acme.example: ")
    assert lines[1].endswith("Completed: 0 messages."), "the others are synced all the same"


def test_one_account_by_id_or_address(connected: Connected, people: People) -> None:
    people.connect_account(people.teammate, port=free_port(), encryption="none")
    for name in (str(connected.account.pk), connected.account.email_address.upper()):
        call_command("sync_mailboxes", account=name, full=True, stdout=io.StringIO())
    assert SyncRun.objects.filter(is_full=True, state=SyncState.COMPLETED).count() == 2
    with pytest.raises(CommandError, match="no account"):
        call_command("sync_mailboxes", account="nobody@acme.example")


def test_a_bar_on_a_terminal(connected: Connected) -> None:
    for number in range(3):
        connected.user.deliver(raw_message(f"m{number}"))
    terminal = Terminal()
    call_command("sync_mailboxes", stdout=terminal)
    assert terminal.getvalue().endswith("Completed: 3 messages.\n")


def test_the_watcher_queues_what_is_due_and_ends_cleanly_on_a_signal(connected: Connected) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "watch_mailboxes"],
        env={**os.environ, "DATABASE_URL": database_url()},
        cwd=ROOT,
    )
    wait_until(
        lambda: SyncRun.objects.filter(state=SyncState.QUEUED).exists(), "the account is queued"
    )
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0

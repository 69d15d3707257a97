"""How a run ends: over a real Dovecot, and where login, host, disk or folder fail it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailboxes.models import Message, SyncState
from mailboxes.sync.requesting import request_sync
from mailboxes.tasks import queue_due_syncs, run_sync
from mailhub.mail.octets import LARGE
from tests.mailboxes.conftest import Connected, raw_message
from tests.mailboxes.runs import fresh, sync
from tests.people import People
from tests.servers.processes import free_port

pytestmark = pytest.mark.django_db(transaction=True)


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
    account = people.connect_mailbox(people.member, connected.user, password="not-the-password")
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

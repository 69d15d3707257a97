"""Which accounts are due for a sync: by interval, later after failures, at once when repaired."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import SyncRun, SyncState
from mailboxes.sync.requesting import request_sync
from mailboxes.tasks import queue_due_syncs, run_sync
from tests.mailboxes.conftest import Connected
from tests.mailboxes.runs import fresh, sync
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.processes import free_port

pytestmark = pytest.mark.django_db(transaction=True)


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
    account = people.connect_mailbox(people.member, user, password="not-the-password")
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


def test_passes_over_one_folder_do_not_put_off_the_others(connected: Connected) -> None:
    sync(connected.account)
    SyncRun.objects.update(finished_at=timezone.now() - timedelta(seconds=301))
    run_sync(str(request_sync(connected.account, folders=["INBOX"]).run.pk))
    assert queue_due_syncs() == 1

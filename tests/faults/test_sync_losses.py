"""The disk is full, or the database goes away, in the middle of a pass."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.brokers import get_broker

from mailboxes.models import FolderEntry, Message, SyncRun, SyncState
from mailboxes.raw_store import RawStore
from mailboxes.signals import message_stored
from mailboxes.sync.requesting import request_sync
from mailboxes.tasks import queue_due_syncs, run_sync
from tests.campaigns.test_database_loss import end_database_connections
from tests.mailboxes.conftest import raw_message
from tests.mailboxes.runs import fresh, sync
from tests.people import People
from tests.servers.dovecot import DovecotUser

pytestmark = pytest.mark.django_db(transaction=True)

ROOM = 12 * 1024 * 1024


@contextmanager
def no_room_for_large_files() -> Iterator[None]:
    """No file may grow beyond `ROOM` octets: writing more fails, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_the_run_clearly_and_costs_nothing(
    people: People, dovecot_user: DovecotUser
) -> None:
    account = people.connect_mailbox(people.member, dovecot_user)
    large = raw_message("large", text="z" * ROOM)
    for raw in (raw_message("first"), large, raw_message("last")):
        dovecot_user.deliver(raw)
    dovecot_user.deliver(raw_message("sent"), "Sent")
    with no_room_for_large_files():
        for _ in range(4):
            run = sync(account)
            assert (run.state, run.error_code) == (SyncState.FAILED, "storage_failed")
    told = people.member.api.get(f"/api/sync/{account.pk}/status").json()
    assert told["error"] == "The mail could not be stored here: File too large."
    account.refresh_from_db()
    assert account.is_enabled, "it is no fault of the account"
    assert not account.is_syncing
    folder = Path(settings.MAILHUB_DATA_DIR) / "raw" / account.pk.hex
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) < 10_000, "no half of a file stays behind"

    assert sync(account).state == SyncState.COMPLETED
    stored = FolderEntry.objects.filter(lacks_body=False)
    subjects = stored.values_list("message__subject", flat=True)
    assert sorted(subjects) == ["first", "large", "last", "sent"]
    digest = Message.objects.get(subject="large").raw_digest
    assert RawStore(account.pk).get(digest) == large


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no connection that could be lost"
)
def test_a_run_that_loses_its_database_is_taken_up_again_by_itself(
    people: People, dovecot_user: DovecotUser
) -> None:
    account = people.connect_mailbox(people.member, dovecot_user)
    for number in range(60):
        dovecot_user.deliver(raw_message(f"m{number}", text="z" * 20_000))
    run = request_sync(account).run
    cuts = [1]

    def cut(**_: Any) -> None:
        if cuts:
            cuts.pop()
            end_database_connections()

    message_stored.connect(cut)
    try:
        run_sync(str(run.pk))
    finally:
        message_stored.disconnect(cut)
    assert not cuts, "it was in the middle"
    left = fresh(run)
    assert (left.state, left.worker, left.error) == (SyncState.RUNNING, "", "")
    before = get_broker().queue_size()
    SyncRun.objects.update(enqueued_at=timezone.now() - timedelta(seconds=61))
    queue_due_syncs()
    assert get_broker().queue_size() == before + 1
    run_sync(str(run.pk))
    assert fresh(run).state == SyncState.COMPLETED
    stored = FolderEntry.objects.filter(lacks_body=False)
    subjects = stored.values_list("message__subject", flat=True)
    assert sorted(subjects) == sorted(f"m{number}" for number in range(60))

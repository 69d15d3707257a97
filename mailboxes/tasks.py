"""What the queue carries out, and what the watcher does every few seconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import SyncRun, SyncState
from mailboxes.raw_store import RawStore
from mailboxes.sync.requesting import enqueue_run, request_sync
from mailboxes.sync.running import carry_out

# A task in a long queue is not lost yet.
LOST_AFTER = timedelta(seconds=60)
# Between two hand-outs of a run whose worker is gone.
HAND_OUT_AGAIN_AFTER = timedelta(seconds=15)
LONGEST_BACKOFF = timedelta(hours=1)
_MOST_DOUBLINGS = 10
# New mail has single folders synced at any time, which says nothing of the others, but that
# the server is well.
_WHOLE = Q(folders=[])
_TELLS_OF_SERVER = _WHOLE | Q(state=SyncState.COMPLETED)


def run_sync(sync_run_id: str) -> None:
    """Work on a run for a minute at most; what remains is for the task that follows."""
    carry_out(UUID(sync_run_id))


def remove_raw_messages(account_id: str) -> None:
    """Delete the raw messages of an account that is gone."""
    if not EmailAccount.objects.filter(pk=account_id).exists():
        RawStore(UUID(account_id)).delete_all()


def queue_due_syncs() -> int:
    """Ask for a pass over each account that is due; how many were.

    Runs whose worker is gone, or whose task was lost, are handed out again.
    """
    now = timezone.now()
    _hand_out_again(now)
    active = SyncRun.objects.active().filter(account=OuterRef("pk"))
    runs = SyncRun.objects.since_account_changed().filter(account=OuterRef("pk"))
    newest = runs.order_by("-created_at")
    accounts = (
        EmailAccount.objects.due_for_sync()
        .filter(~Exists(active))
        .annotate(
            last_state=Subquery(newest.filter(_TELLS_OF_SERVER).values("state")[:1]),
            last_end=Subquery(newest.filter(_WHOLE).values("finished_at")[:1]),
        )
    )
    due = [account for account in accounts.iterator(500) if _is_due(account, now)]
    for account in due:
        request_sync(account)
    return len(due)


def _is_due(account: EmailAccount, now: datetime) -> bool:
    """Whether its interval is over, which grows with each failure until something succeeds.

    An account that was changed since its last pass is due at once.
    """
    last_end: datetime | None = getattr(account, "last_end", None)
    if last_end is None:
        return True
    wait = timedelta(seconds=account.sync_interval)
    if getattr(account, "last_state", None) == SyncState.FAILED:
        doublings = min(_failures_in_a_row(account), _MOST_DOUBLINGS)
        # Spread by a tenth, so that the accounts of a server do not return to it all at once.
        spread = 1 + account.pk.int % 100 / 1000
        wait = min(wait * 2**doublings, max(wait, LONGEST_BACKOFF)) * spread
    return now - last_end >= wait


def _failures_in_a_row(account: EmailAccount) -> int:
    runs = SyncRun.objects.since_account_changed().filter(_TELLS_OF_SERVER, account=account)
    count = 0
    for state in runs.order_by("-created_at").values_list("state", flat=True)[:_MOST_DOUBLINGS]:
        if state != SyncState.FAILED:
            break
        count += 1
    return count


def _hand_out_again(now: datetime) -> None:
    never_begun = Q(state=SyncState.QUEUED) | Q(worker="")
    patience = Q(never_begun, enqueued_at__lt=now - LOST_AFTER) | Q(
        ~never_begun, enqueued_at__lt=now - HAND_OUT_AGAIN_AFTER
    )
    for run_id, enqueued_at in (
        SyncRun.objects.waiting(now).filter(patience).values_list("pk", "enqueued_at")
    ):
        with transaction.atomic():
            same = SyncRun.objects.filter(pk=run_id, enqueued_at=enqueued_at)
            if same.update(enqueued_at=now):
                enqueue_run(run_id)

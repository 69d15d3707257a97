"""How far a run is, in words, and when it may be done."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from mailboxes.models import SyncRun, SyncState

# Where nothing is known of the account yet.
FIRST_GUESS = timedelta(minutes=1)


def estimate_end(run: SyncRun) -> datetime:
    """By its own pace once a tenth is done, before that as long as the last one took."""
    now = timezone.now()
    if run.started_at is not None and run.percent >= 10:
        taken = now - run.started_at
        return now + taken * (100 - run.percent) / run.percent
    ended = SyncRun.objects.filter(
        account_id=run.account_id,
        folders=run.folders,
        state=SyncState.COMPLETED,
        started_at__isnull=False,
    )
    last = ended.order_by("-created_at").values_list("started_at", "finished_at").first()
    usual = last[1] - last[0] if last and last[0] and last[1] else FIRST_GUESS
    return max(now, (run.started_at or now) + usual)


def describe_progress(run: SyncRun) -> str:
    """A sentence for a person."""
    match SyncState(run.state):
        case SyncState.QUEUED:
            return "Waiting to begin."
        case SyncState.STARTED:
            return "Connecting to the mail server."
        case SyncState.RUNNING:
            where = f"Reading {run.current_folder}" if run.current_folder else "Reading"
            if run.messages_total:
                return f"{where}: {run.messages_done} of {run.messages_total} messages."
            return f"{where}: {run.folders_done} of {run.folders_total} folders."
        case SyncState.COMPLETED:
            skipped = f", {run.messages_skipped} skipped" if run.messages_skipped else ""
            return f"Completed: {run.messages_done} messages{skipped}."
        case SyncState.FAILED:
            return run.error or "Failed."
        case SyncState.CANCELLED:
            return "Cancelled."

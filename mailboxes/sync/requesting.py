"""Asking for a pass over an account, and cancelling one.

An account has at most one run that has not ended; the database holds to that. Asking
again while one waits to begin widens it; while one is under way, another follows it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import EmailAccount
from mailboxes.models import SyncRun, SyncState
from mailboxes.models.sync_run import UNDER_WAY
from mailhub.errors import Busy

RUN_SYNC = "mailboxes.tasks.run_sync"
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Requested:
    """The run that was asked for, or the one under way that another will follow."""

    run: SyncRun
    queued_again: bool = False


def request_sync(
    account: EmailAccount,
    *,
    is_full: bool = False,
    folders: Collection[str] = (),
    enqueue: bool = True,
) -> Requested:
    """Have a pass begin after this call. `folders` are ids, paths or roles; empty means all.

    With `enqueue` false no worker is told: the caller carries it out itself.
    """
    wanted = {"full": is_full, "folders": sorted(folders)}
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                return _request(account, wanted, enqueue)
        except IntegrityError:
            continue  # Another call was quicker; it is there to be joined now.
    raise Busy("This account is asked for by too many at once; try again.", retry_after=1)


def cancel_sync(run: SyncRun) -> SyncRun:
    """End it: at once where no worker has it, else within two seconds."""
    rows = SyncRun.objects.filter(pk=run.pk)
    with transaction.atomic():
        now = timezone.now()
        cancelled = rows.waiting(now).update(
            state=SyncState.CANCELLED,
            finished_at=now,
            worker="",
            cancel_requested=True,
            again=None,
        )
        if cancelled:
            EmailAccount.objects.filter(pk=run.account_id).update(is_syncing=False)
        else:
            rows.filter(state__in=UNDER_WAY).update(cancel_requested=True, again=None)
    run.refresh_from_db()
    return run


def enqueue_run(run_id: UUID) -> None:
    """Tell the workers of it, once this transaction is committed."""
    transaction.on_commit(partial(async_task, RUN_SYNC, str(run_id)))


def _request(account: EmailAccount, wanted: dict[str, Any], enqueue: bool) -> Requested:
    found = SyncRun.objects.select_for_update().active().filter(account=account).first()
    if found is None:
        run = SyncRun.objects.create(
            account=account,
            is_full=wanted["full"],
            folders=wanted["folders"],
            enqueued_at=timezone.now(),
        )
        if enqueue:
            enqueue_run(run.pk)
        return Requested(run)
    if found.state == SyncState.QUEUED:
        waiting = {"full": found.is_full, "folders": found.folders}
        both = _join(waiting, wanted)
        found.is_full, found.folders = both["full"], both["folders"]
        found.save(update_fields=["is_full", "folders"])
        return Requested(found)
    found.again = wanted if found.again is None else _join(found.again, wanted)
    found.save(update_fields=["again"])
    return Requested(found, queued_again=True)


def _join(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    everything = not one["folders"] or not other["folders"]
    folders = [] if everything else sorted({*one["folders"], *other["folders"]})
    return {"full": one["full"] or other["full"], "folders": folders}

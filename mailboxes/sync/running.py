"""Carrying out a run: claimed by one worker, watched by a heartbeat, ended once.

    claim ──> connect ──> pass ──> completed, failed or cancelled
                           └─ out of time: left for the next turn, by any worker

A run belongs to the worker whose name it bears. A heartbeat thread writes the progress
twice a second, and learns whether the run was cancelled, or was taken over by another
worker after this one fell silent. A pass whose server does not answer cannot be stopped
in the middle: after a second the heartbeat ends its run all the same, and the pass, when
it wakes, finds that it has lost it and writes nothing more.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from os import getpid
from types import TracebackType
from typing import Self
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from accounts.disabling import disable_account
from accounts.events.publishing import publish
from accounts.models import AccountProtocol, EmailAccount
from mailboxes.connections import maildrop_of, store_of
from mailboxes.models import SyncRun, SyncState
from mailboxes.models.sync_run import UNDER_WAY
from mailboxes.sync.control import Control, Interruption, PassInterrupted, Progress
from mailboxes.sync.engine import Order, Pass
from mailboxes.sync.pop3_pass import Pop3Pass
from mailboxes.sync.requesting import enqueue_run, request_sync
from mailhub.errors import Busy, MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError
from mailhub.mail.octets import SpoolFailed
from mailhub.supervised import is_stopping

log = get_logger(__name__)

# A task may take a minute; the queue kills it after two.
TURN_SECONDS = 60.0
BEAT_SECONDS = 0.5
PATIENCE_WITH_CANCEL = 1.0
# A worker has other runs to care for than one whose server takes no more connections.
PATIENCE_FOR_A_PLACE = 1.0
PERMANENT_FAILURES_BEFORE_DISABLING = 3
RUNS_KEPT = 100

Watch = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended; `state` None leaves the run for the next turn, `is_put_back` after a
    while: there was no place among the connections to the server, or no database.
    """

    state: SyncState | None
    error: str = ""
    code: str = ""
    is_permanent: bool = False
    is_put_back: bool = False


def carry_out(
    run_id: UUID, *, seconds: float | None = TURN_SECONDS, watch: Watch | None = None
) -> bool:
    """Work on a run for so many seconds (None: to its end); False where it is not to be had.

    `watch` is called twice a second with the progress, from another thread.
    """
    worker = f"{socket.gethostname()[:60]}:{getpid()}:{secrets.token_hex(8)}"
    run = _claim(run_id, worker)
    if run is None:
        return False
    progress = Progress(
        messages_done=run.messages_done,
        messages_total=run.messages_done,
        messages_skipped=run.messages_skipped,
    )
    heartbeat = Heartbeat(run, worker, progress, seconds, watch)
    try:
        with heartbeat:
            outcome = _attempt(run, Control(progress, heartbeat.interruption))
    except BaseException:
        # Ctrl-C in the foreground: whoever started it wants it to end.
        end(run, worker, Outcome(SyncState.CANCELLED))
        raise
    _note_progress(run.pk, worker, progress)
    if outcome.state is None:
        _leave(run, worker, at_once=not outcome.is_put_back)
    else:
        end(run, worker, outcome)
    return True


def end(run: SyncRun, worker: str, outcome: Outcome) -> bool:
    """End a run that is still this worker's; whether it was."""
    assert outcome.state is not None, "an end has a state"
    now = timezone.now()
    with transaction.atomic():
        mine = SyncRun.objects.filter(pk=run.pk, worker=worker, state__in=UNDER_WAY)
        changed = mine.update(
            state=outcome.state,
            finished_at=now,
            worker="",
            current_folder="",
            error=outcome.error,
            error_code=outcome.code,
            is_permanent=outcome.is_permanent,
        )
        if not changed:
            return False
        account = EmailAccount.objects.filter(pk=run.account_id)
        account.update(is_syncing=False)
        if outcome.state == SyncState.COMPLETED:
            account.update(last_sync_at=now)
        if outcome.state == SyncState.FAILED:
            _tell_of_failure(run, outcome)
        if outcome.is_permanent:
            _disable_after_failures(run.account_id, outcome)
        _forget_old_runs(run.account_id)
        _follow_up(run)
    return True


class Heartbeat:
    """The thread beside a pass. `interruption` is what the pass asks between two batches."""

    def __init__(
        self,
        run: SyncRun,
        worker: str,
        progress: Progress,
        seconds: float | None,
        watch: Watch | None,
    ) -> None:
        self._run, self._worker, self._progress, self._watch = run, worker, progress, watch
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._ended = threading.Event()
        self._lost = False
        self._cancelled_at: float | None = None
        self._thread = threading.Thread(target=self._beat, name="sync-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def interruption(self) -> Interruption | None:
        """Why the pass shall leave off now, if it shall."""
        if self._lost:
            return Interruption.LOST
        if self._cancelled_at is not None:
            return Interruption.CANCELLED
        late = self._deadline is not None and time.monotonic() > self._deadline
        return Interruption.OUT_OF_TIME if late or is_stopping() else None

    def _beat(self) -> None:
        try:
            while not self._ended.wait(BEAT_SECONDS):
                try:
                    self._tell_and_ask()
                except (DatabaseError, InterfaceError) as error:
                    log.warning("heartbeat missed", reason=str(error))
                    # The next beat finds another connection, where this one was lost.
                    connection.close()
                if self._watch is not None:
                    self._watch(self._progress)
        finally:
            connection.close()

    def _tell_and_ask(self) -> None:
        if self._lost:
            return
        if not _note_progress(self._run.pk, self._worker, self._progress):
            self._lost = True
            return
        asked = SyncRun.objects.filter(pk=self._run.pk, cancel_requested=True).exists()
        if asked and self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
        if self._cancelled_at is not None:
            waited = time.monotonic() - self._cancelled_at
            if waited >= PATIENCE_WITH_CANCEL and not self._ended.is_set():
                self._lost = True
                end(self._run, self._worker, Outcome(SyncState.CANCELLED))


def _claim(run_id: UUID, worker: str) -> SyncRun | None:
    now = timezone.now()
    rows = SyncRun.objects.filter(pk=run_id)
    with transaction.atomic():
        claimed = rows.filter(state=SyncState.QUEUED).update(
            state=SyncState.STARTED, started_at=now, heartbeat_at=now, worker=worker
        ) or rows.waiting(now).update(heartbeat_at=now, worker=worker)
        if not claimed:
            return None
        run = rows.get()
        EmailAccount.objects.filter(pk=run.account_id).update(is_syncing=True)
    return run


def _attempt(run: SyncRun, control: Control) -> Outcome:
    try:
        account = EmailAccount.objects.select_related("credential").get(pk=run.account_id)
        with _pass_over(account, run, control) as work:
            control.check()
            SyncRun.objects.filter(pk=run.pk, state=SyncState.STARTED).update(
                state=SyncState.RUNNING
            )
            work.run()
    except PassInterrupted as interrupted:
        left = interrupted.reason is Interruption.OUT_OF_TIME
        return Outcome(None if left else SyncState.CANCELLED)
    except MailError as error:
        log.info("sync failed", account=str(run.account_id), reason=error.message)
        return Outcome(SyncState.FAILED, error.message, error.code, error.permanent)
    except Busy:
        return Outcome(None, is_put_back=True)
    except MailhubError as error:
        return Outcome(SyncState.FAILED, error.message, error.code, is_permanent=True)
    except (DatabaseError, InterfaceError) as error:
        return _explain_database(run, error)
    except (OSError, SpoolFailed) as error:
        words = f"The mail could not be stored here: {error.strerror or 'unknown reason'}."
        log.exception("sync could not store", account=str(run.account_id))
        return Outcome(SyncState.FAILED, words, "storage_failed")
    except Exception:
        log.exception("sync failed unexpectedly", account=str(run.account_id))
        return Outcome(
            SyncState.FAILED, "Something unexpected happened; the log says what.", "internal_error"
        )
    return Outcome(SyncState.COMPLETED)


def _explain_database(run: SyncRun, error: Exception) -> Outcome:
    if not _tells_of_loss(error):
        log.exception("sync could not store", account=str(run.account_id))
        words = "The mail could not be stored in the database; the log says why."
        return Outcome(SyncState.FAILED, words, "storage_failed")
    log.warning("sync lost its database", account=str(run.account_id), reason=str(error))
    connection.close()
    return Outcome(None, is_put_back=True)


def _tells_of_loss(error: Exception) -> bool:
    """Whether the connection to PostgreSQL broke (SQLSTATE 08, 57P, or none at all)."""
    state = getattr(error.__cause__, "sqlstate", "")
    return state is None or state.startswith(("08", "57P"))


@contextmanager
def _pass_over(account: EmailAccount, run: SyncRun, control: Control) -> Iterator[Pass | Pop3Pass]:
    """The pass that fits the account's protocol, on an open connection."""
    order = Order(
        run_id=run.pk,
        began=run.started_at or run.created_at,
        is_full=run.is_full,
        folders=frozenset(run.folders),
    )
    if account.protocol == AccountProtocol.POP3:
        days = account.delete_from_server_after_days
        delete_after = None if days is None else timedelta(days=days)
        with maildrop_of(account, patience=PATIENCE_FOR_A_PLACE) as maildrop:
            yield Pop3Pass(maildrop, account.pk, order, control, delete_after=delete_after)
    else:
        with store_of(account, patience=PATIENCE_FOR_A_PLACE) as store:
            yield Pass(store, account.pk, order, control)


def _note_progress(run_id: UUID, worker: str, progress: Progress) -> bool:
    """Write how far it is; whether the run is still this worker's."""
    mine = SyncRun.objects.filter(pk=run_id, worker=worker, state__in=UNDER_WAY)
    return bool(
        mine.update(
            heartbeat_at=timezone.now(),
            folders_done=progress.folders_done,
            folders_total=progress.folders_total,
            messages_done=progress.messages_done,
            messages_total=progress.messages_total,
            messages_skipped=progress.messages_skipped,
            current_folder=progress.current_folder[:1000],
        )
    )


def _leave(run: SyncRun, worker: str, *, at_once: bool) -> None:
    with transaction.atomic():
        mine = SyncRun.objects.filter(pk=run.pk, worker=worker, state__in=UNDER_WAY)
        if mine.update(worker="", enqueued_at=timezone.now()) and at_once:
            enqueue_run(run.pk)


def _follow_up(run: SyncRun) -> None:
    run.refresh_from_db(fields=["again"])
    if run.again is not None:
        request_sync(run.account, is_full=run.again["full"], folders=run.again["folders"])


def _tell_of_failure(run: SyncRun, outcome: Outcome) -> None:
    """The first time after it worked: what goes on failing is no news."""
    earlier = SyncRun.objects.filter(account_id=run.account_id, created_at__lt=run.created_at)
    if earlier.order_by("-created_at").values_list("state", flat=True).first() == SyncState.FAILED:
        return
    publish(
        EmailAccount.objects.values_list("tenant_id", flat=True).get(pk=run.account_id),
        "sync.failed",
        {
            "accountId": str(run.account_id),
            "syncId": str(run.pk),
            "code": outcome.code,
            "reason": outcome.error,
            "isPermanent": outcome.is_permanent,
        },
    )


def _disable_after_failures(account_id: UUID, outcome: Outcome) -> None:
    account = EmailAccount.objects.get(pk=account_id)
    runs = SyncRun.objects.since_account_changed().filter(account=account)
    latest = runs.order_by("-created_at").values_list("state", "is_permanent")
    latest = latest[:PERMANENT_FAILURES_BEFORE_DISABLING]
    in_a_row = sum(state == SyncState.FAILED and permanent for state, permanent in latest)
    if in_a_row == PERMANENT_FAILURES_BEFORE_DISABLING:
        disable_account(account, code=outcome.code, reason=outcome.error)


def _forget_old_runs(account_id: UUID) -> None:
    runs = SyncRun.objects.filter(account_id=account_id)
    newest = runs.order_by("-created_at").values_list("created_at", flat=True)
    for oldest_kept in newest[RUNS_KEPT - 1 : RUNS_KEPT]:
        runs.filter(created_at__lt=oldest_kept).delete()

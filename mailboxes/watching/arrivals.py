"""News of an account → a pass over the folders in question, carried out here and at once.

The queue is left out of it: its workers may be busy with a campaign for a minute. News are
followed at once, and what comes during a pass by one more; an account in which something
happens all the time is looked at every other second. While another process has a run of the
account, what arrived is stored beside it; all else that happened is done by the run that
follows it, which is waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from accounts.models import EmailAccount
from accounts.rate_limit import MemoryBuckets
from mailboxes.models import SyncRun, SyncState
from mailboxes.sync.arriving import take_arrivals
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import carry_out
from mailboxes.watching.threads import Threads
from mailhub.logs import get_logger
from mailhub.mail.watching.session import INBOX, News

log = get_logger(__name__)

# Between two passes over an account, so that a burst is one.
PAUSE = 0.25
# Each pass logs in, which providers count: so many at will, then so many a second.
AT_WILL, PER_SECOND = 30, 0.5
# A pass over one folder that takes longer is a worker's business.
PASS_SECONDS = 15.0
# Who holds a thread for so long leaves the next passes to the workers.
SLOW_SECONDS, SLOW_FOR = 10.0, 300.0
_LOOK_EVERY, _LOOKS = 0.2, 50
_TRY_AGAIN_AFTER = (2.0, 10.0, 30.0)


@dataclass(slots=True)
class _Account:
    """`news` that no pass has been asked for yet; monotonic times."""

    news: News | None = None
    task: asyncio.Task[None] | None = None
    not_before: float = 0.0
    slow_until: float = 0.0
    failures: int = 0


class Arrivals:
    """Follows the news of many accounts in a few threads. For one event loop."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._accounts: dict[UUID, _Account] = {}
        self._allowances = MemoryBuckets()

    def tell(self, account_id: UUID, news: News) -> None:
        """Something happened; returns at once."""
        account = self._accounts.setdefault(account_id, _Account())
        account.news = news if account.news is None else account.news | news
        if account.task is None or account.task.done():
            account.task = asyncio.create_task(self._follow(account_id, account))

    def forget(self, account_id: UUID) -> None:
        """The account is watched no more; what is under way goes on to its end."""
        self._accounts.pop(account_id, None)

    def stop(self) -> list[Awaitable[None]]:
        """Follow nothing more."""
        tasks = [each.task for each in self._accounts.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        self._accounts.clear()
        return list(tasks)

    async def _follow(self, account_id: UUID, account: _Account) -> None:
        while account.news is not None:
            await asyncio.sleep(max(0.0, account.not_before - time.monotonic()))
            wait = self._allowances.take(str(account_id), PER_SECOND, AT_WILL)
            if wait:
                await asyncio.sleep(wait)
                continue
            news, account.news = account.news, None
            try:
                await self._carry_out(account_id, account, news)
            except Exception:
                log.exception("news were not followed", account=str(account_id))
                self._put_back(account, news)
            account.not_before = max(account.not_before, time.monotonic() + PAUSE)

    async def _carry_out(self, account_id: UUID, account: _Account, news: News) -> None:
        if self._threads.are_busy:
            await self._threads.run(lambda: _leave_to_workers(account_id, news))
            return
        before = time.monotonic()
        if before < account.slow_until:
            await self._threads.run(lambda: _store_arrivals(account_id, news))
            return
        run = await self._threads.run(lambda: _sync_here(account_id, news))
        if time.monotonic() - before > SLOW_SECONDS:
            account.slow_until = time.monotonic() + SLOW_FOR
        if run is not None and run.state == SyncState.FAILED and not run.is_permanent:
            self._put_back(account, news)
        elif run is not None and run.is_active:
            await self._follow_the_other(account_id, account, run.pk)
        else:
            account.failures = 0

    async def _follow_the_other(self, account_id: UUID, account: _Account, run_id: UUID) -> None:
        """Another process has a run of the account; what follows it is done here, if it may.

        More news end the waiting: what arrived is to be stored.
        """
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_EVERY)
            if account.news is not None:
                return
            if await self._threads.run(lambda: _carry_out_what_waits(account_id, run_id)):
                return

    def _put_back(self, account: _Account, news: News) -> None:
        """Try again later, a few times; then the interval will."""
        if account.failures < len(_TRY_AGAIN_AFTER):
            account.not_before = time.monotonic() + _TRY_AGAIN_AFTER[account.failures]
            account.failures += 1
            account.news = news if account.news is None else account.news | news
        else:
            account.failures = 0


def _sync_here(account_id: UUID, news: News) -> SyncRun | None:
    """The run as it is afterwards, or as it was where another has it; None without an account."""
    account = EmailAccount.objects.select_related("credential").filter(pk=account_id).first()
    if account is None:
        return None
    requested = request_sync(account, folders=news.folders, enqueue=False)
    if requested.queued_again:
        take_arrivals(account, news.folders or {INBOX})
        # Though it may have ended by now: the one that follows it is to be carried out.
        return requested.run
    carry_out(requested.run.pk, seconds=PASS_SECONDS)
    return SyncRun.objects.filter(pk=requested.run.pk).first()


def _leave_to_workers(account_id: UUID, news: News) -> None:
    account = EmailAccount.objects.filter(pk=account_id).first()
    if account is not None:
        request_sync(account, folders=news.folders)


def _store_arrivals(account_id: UUID, news: News) -> None:
    """Here what arrived; a worker does the rest, which takes long."""
    account = EmailAccount.objects.select_related("credential").filter(pk=account_id).first()
    if account is not None:
        request_sync(account, folders=news.folders)
        take_arrivals(account, news.folders or {INBOX})


def _carry_out_what_waits(account_id: UUID, run_id: UUID) -> bool:
    """Whether the other's run has ended; then the run that follows it has been carried out."""
    active = SyncRun.objects.active().filter(account=account_id).first()
    if active is None:
        return True
    if SyncRun.objects.waiting(timezone.now()).filter(pk=active.pk).exists():
        carry_out(active.pk, seconds=PASS_SECONDS)
        return active.pk != run_id
    return False

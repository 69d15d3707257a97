"""One event loop that waits for news of many accounts.

    roster ──> a task for each account: open ──> wait ──> news ──> arrivals
                    ^                              │
                    └── after a pause that grows ──┘ the connection broke

A login that is refused for good ends the task until the account is changed, or a pass was
completed all the same; disabling an account is the passes' business.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from django.utils import timezone

from mailboxes.models import WatchState
from mailboxes.tasks import queue_due_syncs
from mailboxes.watching.arrivals import Arrivals
from mailboxes.watching.crowding import CLOSED_FOR, Crowding
from mailboxes.watching.opening import open_account
from mailboxes.watching.roster import Roster, Standing, Wanted
from mailboxes.watching.threads import Threads
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import CapabilityMissing, MailError, ServerTimeout
from mailhub.mail.watching.back_off import BackOff
from mailhub.mail.watching.connection import ANSWER_WITHIN, RENEW_AFTER, WaitingConnection
from mailhub.mail.watching.opening import Leash, Opened
from mailhub.mail.watching.session import INBOX, News

log = get_logger(__name__)

OPENING_THREADS, PASS_THREADS = 16, 8
OPENINGS_OF_A_HOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Times in seconds.

    A connection counts as working again once it has lasted for `steady_after`. An account
    whose server knows no IDLE is asked again after `poll_for`. At the end, what is under way
    has `stop_within`.
    """

    most: int = 1000
    look_every: float = 2.0
    renew_after: float = RENEW_AFTER
    answer_within: float = ANSWER_WITHIN
    open_within: float = 60.0
    first_pause: float = 2.0
    longest_pause: float = 600.0
    steady_after: float = 30.0
    poll_for: float = 6 * 3600.0
    stop_within: float = 1.0


@dataclass(slots=True)
class _Account:
    wanted: Wanted
    standing: Standing = field(default_factory=lambda: Standing(WatchState.CONNECTING))
    since: float = field(default_factory=lambda: timezone.now().timestamp())
    task: asyncio.Task[None] | None = None


class MailboxWatcher:
    """`run` works until it is told to stop, and leaves nothing behind that others wait for."""

    def __init__(self, habits: Habits | None = None) -> None:
        self._habits = habits or Habits()
        self._roster = Roster(self._habits.most)
        self._crowding = Crowding()
        self._accounts: dict[UUID, _Account] = {}
        self._changed: dict[UUID, Standing] = {}
        self._doors: dict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(OPENINGS_OF_A_HOST)
        )

    async def run(self, stop: asyncio.Event) -> bool:
        """Whether every thread has ended, too; those that have not wait for some server."""
        self._openers = Threads("watch-open", OPENING_THREADS, are_rare=True)
        self._books = Threads("watch-roster", 1)
        self._duties = Threads("watch-due", 1)
        passes = Threads("watch-pass", PASS_THREADS)
        self._arrivals = Arrivals(passes)
        chores = [
            asyncio.create_task(self._again_and_again(stop, self._look_at_roster)),
            asyncio.create_task(self._again_and_again(stop, self._queue_what_is_due)),
        ]
        try:
            await stop.wait()
        finally:
            tasks = [*chores, *(each.task for each in self._accounts.values() if each.task)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *self._arrivals.stop(), return_exceptions=True)
            await self._leave()
        kinds = (self._openers, self._books, self._duties, passes)
        have_ended = [threads.close(self._habits.stop_within / 2) for threads in kinds]
        return all(have_ended)

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(self._habits.stop_within):
                await self._books.run(self._roster.leave)
        except Exception as error:
            # Its silence will say the same.
            log.warning("accounts were not given back", reason=repr(error))

    async def _again_and_again(
        self, stop: asyncio.Event, chore: Callable[[], Awaitable[object]]
    ) -> None:
        while not stop.is_set():
            try:
                await chore()
            except Exception:
                log.exception("the watcher's turn failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._habits.look_every):
                    await stop.wait()

    async def _queue_what_is_due(self) -> None:
        await self._duties.run(queue_due_syncs)

    async def _look_at_roster(self) -> None:
        changed, self._changed = self._changed, {}
        try:
            wanted = await self._books.run(partial(self._note_and_look, changed))
        except BaseException:
            self._changed = changed | self._changed
            raise
        now = {each.account_id: each for each in wanted}
        for account_id in self._accounts.keys() - now.keys():
            self._stop_watching(account_id)
            self._arrivals.forget(account_id)
        for account_id, each in now.items():
            account = self._accounts.get(account_id)
            if account is not None and not _is_another(account, each):
                account.wanted = each
                continue
            if account is not None:
                self._stop_watching(account_id)
            self._start_watching(each)

    def _note_and_look(self, changed: dict[UUID, Standing]) -> list[Wanted]:
        if changed:
            self._roster.note(changed)
        return self._roster.look()

    def _start_watching(self, wanted: Wanted) -> None:
        account = self._accounts[wanted.account_id] = _Account(wanted)
        account.task = asyncio.create_task(self._watch(account))

    def _stop_watching(self, account_id: UUID) -> None:
        account = self._accounts.pop(account_id)
        if account.task is not None:
            account.task.cancel()

    def _stand(self, account: _Account, state: WatchState, note: str = "") -> None:
        standing = Standing(state, note)
        if standing != account.standing:
            account.standing = self._changed[account.wanted.account_id] = standing
            account.since = timezone.now().timestamp()

    async def _watch(self, account: _Account) -> None:
        habits = self._habits
        back_off = BackOff(habits.first_pause, habits.longest_pause)
        while True:
            try:
                wait = await self._watch_once(account, back_off)
            except CapabilityMissing as error:
                self._stand(account, WatchState.POLLED, error.message)
                wait = habits.poll_for * random.uniform(0.5, 1)  # noqa: S311 - no secret
            except (MailError, MailhubError) as error:
                if not isinstance(error, MailError) or error.permanent:
                    self._stand(account, WatchState.REFUSED, error.message)
                    log.info(
                        "account is not watched",
                        account=str(account.wanted.account_id),
                        reason=error.message,
                    )
                    return
                self._stand(account, WatchState.CONNECTING, error.message)
                self._learn_from(account, error)
                wait = back_off.next()
            except Exception:
                log.exception("watching failed", account=str(account.wanted.account_id))
                wait = back_off.next()
            await asyncio.sleep(wait)

    async def _watch_once(self, account: _Account, back_off: BackOff) -> float:
        """Wait for news until the connection breaks, which raises; or seconds to stay away."""
        account_id, host = account.wanted.account_id, account.wanted.host
        async with self._doors[host]:
            if self._crowding.is_full(host):
                return self._stay_away(account)
            opened, is_behind = await self._open(account_id)
        if self._crowding.is_full(host):
            opened.close()
            return self._stay_away(account)
        connection = WaitingConnection(
            opened,
            renew_after=self._habits.renew_after,
            answer_within=self._habits.answer_within,
        )
        self._crowding.entered(host)
        steady = asyncio.get_running_loop().call_later(self._habits.steady_after, back_off.reset)
        try:
            self._stand(account, WatchState.WATCHING)
            if is_behind:
                self._arrivals.tell(account_id, News(frozenset({INBOX})))
            while True:
                self._arrivals.tell(account_id, await connection.next_news())
        finally:
            steady.cancel()
            self._crowding.left(host)
            connection.close()

    def _stay_away(self, account: _Account) -> float:
        self._stand(account, WatchState.POLLED, f"{account.wanted.host} takes no more connections.")
        return CLOSED_FOR * random.uniform(0.5, 1.5)  # noqa: S311 - no secret

    async def _open(self, account_id: UUID) -> tuple[Opened, bool]:
        leash = Leash()
        try:
            async with asyncio.timeout(self._habits.open_within):
                return await self._openers.run(
                    partial(open_account, account_id, leash), discard=lambda it: it[0].close()
                )
        except TimeoutError as error:
            raise ServerTimeout("Its mail server takes too long to let us in.") from error
        finally:
            leash.cut()

    def _learn_from(self, account: _Account, error: MailError) -> None:
        host = account.wanted.host
        if not self._crowding.refused(host, account.wanted.account_id, error):
            return
        given_up = max(0, self._crowding.excess(host))
        log.warning(
            "a mail server takes no more connections: some accounts are polled",
            host=host,
            given_up=given_up,
            reason=error.message,
        )
        for other in list(self._accounts.values()):
            is_open = other.standing.state == WatchState.WATCHING and other is not account
            if given_up and is_open and other.wanted.host == host:
                given_up -= 1
                self._stop_watching(other.wanted.account_id)
                self._start_watching(other.wanted)


def _is_another(account: _Account, now: Wanted) -> bool:
    """Whether what the account is watched with has changed.

    A token that was renewed leaves the connection as it is.
    """
    before = account.wanted
    if now.changed_at != before.changed_at or now.host != before.host:
        return True
    is_refused = account.standing.state == WatchState.REFUSED
    if now.credential_at != before.credential_at and (now.has_password or is_refused):
        return True
    # What refused us has let a pass in since.
    return is_refused and now.synced_at is not None and now.synced_at.timestamp() > account.since

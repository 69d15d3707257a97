"""A worker: the main thread of a shift, which claims, hands out and writes down."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from campaigns.engine.addressing import Addressing
from campaigns.engine.allowance import allowance_of
from campaigns.engine.board import Assignment, Board
from campaigns.engine.claims import Claimed, claim, in_hand, release
from campaigns.engine.journal import Journal
from campaigns.engine.lanes import Lane, divide, leave_out, look_for_accounts
from campaigns.engine.loop import Loop
from campaigns.engine.outcomes import Finished, record
from campaigns.engine.pace import Pace
from campaigns.engine.sender import Sender
from campaigns.engine.sent_by import note_accounts
from campaigns.engine.threads import SenderThread
from campaigns.lifecycle import Judgement, forget_trouble, hold_back, judge_failures
from campaigns.models import Campaign, CampaignStatus, DeliveryState, SendShift
from campaigns.servers import connections_for
from campaigns.tallies import counts_of
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError

log = get_logger(__name__)
Value = TypeVar("Value")

_A_SENDER = 5
_FIRST_BATCH, _SMALL_BATCH, _LARGEST_BATCH, _SMALLEST_BATCH = 50, 200, 2000, 20
_BATCH_SECONDS = 1.0
_WRITE_EVERY = 0.5
_WRITE_AT = 2000
_LOOK_EVERY = 0.5
_TURN = 0.02
_PATIENCE = 0.5
_RATE_SECONDS = 3.0
_LOOKED_AT = (
    *("status", "account_id", "trouble_since", "failure_limit"),
    *("rate_per_second", "rate_per_hour", "rate_per_day"),
)
# Longer than this no worker waits for a rate limit: the campaign is taken up again then.
_LONGEST_WAIT = 5.0
# With a shift's own length less than the queue's time-out for a task.
_LAST_MESSAGE_SECONDS = 60.0


class Worker:
    """Sends a campaign's deliveries over a few connections at once.

    `may_go_on` is asked between two steps; `is_held` (the lease) before each message.
    `has_answered` is called once, when the server has said something to a message. What
    cannot be written to the database is tried again while the lease is held.
    """

    def __init__(
        self,
        shift: SendShift,
        lanes: Sequence[Lane],
        journal: Journal,
        *,
        is_held: Callable[[], bool],
        may_go_on: Callable[[], bool],
        has_answered: Callable[[], None],
    ) -> None:
        self._shift = shift
        self._campaign = shift.campaign
        self._lanes = list(lanes)
        self._journal = journal
        self._is_held = is_held
        self._may_go_on = may_go_on
        self._tell_of_answer = has_answered
        self._has_answered = False
        self._loop = Loop()
        self._threads: list[SenderThread] = []
        self._board = Board(len(self._lanes), self._loop.wake)
        self._addressing = Addressing(shift.campaign, self._lanes)
        self._paces: deque[tuple[float, int]] = deque()
        self._pace = Pace(carried=shift.rate, began=time.monotonic())
        self._next_look = self._next_write = self._next_claim = 0.0
        self._allowance = allowance_of(shift.campaign)
        self._is_paced = False
        self._claimed, self._claimed_at = 0, -math.inf
        self._claimed_to = 0
        self._in_hand: set[int] = set()
        self._was_cut_off = False
        self._is_careful = True

    def rate(self) -> float:
        """Messages a second that were accepted lately, to be shown."""
        return self._pace.rate(time.monotonic())

    def _rate_now(self) -> float:
        now = time.monotonic()
        recent = [(when, count) for when, count in self._paces.copy() if now - when < _RATE_SECONDS]
        if not recent:
            return 0.0
        return sum(count for _, count in recent) / max(now - recent[0][0], _RATE_SECONDS / 2)

    def work(self) -> None:
        """Send until nothing is due, the time is up, or nothing can be sent."""
        self._loop.start()
        try:
            while self._may_work():
                self._refill()
                self._man()
                self._write_down()
                if self._board.is_idle and not self._claim_is_worthwhile():
                    if not self._is_paced:
                        break
                    time.sleep(_TURN)
                self._board.pause(_TURN)
            # Before the senders end: what is on its way may take a minute.
            self._board.close()
            self._give_back()
        finally:
            self._board.close()
            self._await_senders()
        self._write_down(at_once=True)
        self._give_back()

    def _give_back(self) -> None:
        self._put_back([assignment.claimed.pk for assignment in self._board.clear()])

    def _put_back(self, deliveries: Sequence[int]) -> None:
        if deliveries:
            self._insist(lambda: release(self._shift, deliveries))
            self._in_hand.difference_update(deliveries)

    def _await_senders(self) -> None:
        """Let each end its message. One that hangs is left alone: it cannot outlast the lease."""
        self._loop.close()
        deadline = time.monotonic() + _LAST_MESSAGE_SECONDS
        for thread in (self._loop, *self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def is_empty_handed(self) -> bool:
        """Whether it has written down or put back all that it claimed.

        Where the database did not answer, it may hold a claim that was never heard of here.
        """
        return not self._in_hand and not (self._was_cut_off and in_hand(self._shift).exists())

    @property
    def trouble(self) -> MailError | None:
        """Why none of its senders could send; a final reason first."""
        troubles = [lane.trouble for lane in self._lanes]
        found = [trouble for trouble in troubles if trouble is not None]
        if len(found) < len(troubles):
            return None
        return max(found, key=lambda error: error.permanent)

    def _senders(self) -> list[Sender]:
        return [sender for lane in self._lanes for sender in lane.senders]

    def _usable(self) -> list[Lane]:
        return [lane for lane in self._lanes if not lane.is_dead]

    def _leave_out_the_dead(self) -> None:
        """What a sender cannot do any more goes back, for the others, who are still there."""
        usable = self._usable()
        for lane in self._lanes:
            if lane.is_dead and lane.share is not None and usable and not lane.share.trouble:
                trouble = lane.trouble
                words = str(trouble.reply or trouble.message) if trouble else "It is gone."
                lane.share.trouble = words
                self._insist(lambda lane=lane, words=words: leave_out(lane.share, words))  # type: ignore[misc]  # the loop's own
                self._put_back([each.claimed.pk for each in self._board.clear(lane.number)])

    def _may_work(self) -> bool:
        if not self._may_go_on() or not self._is_held():
            return False
        if not self._usable():
            return False
        self._leave_out_the_dead()
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_EVERY
            rows = Campaign.objects.filter(pk=self._campaign.pk, tenant__is_active=True)
            found = self._insist(lambda: list(rows.values(*_LOOKED_AT)))
            if not found:
                return False
            status, account = found[0].pop("status"), found[0].pop("account_id")
            for name, value in found[0].items():
                setattr(self._campaign, name, value)
            self._allowance = allowance_of(self._campaign)
            for lane in self._lanes:
                lane.connections = self._insist(lambda lane=lane: connections_for(lane.campaign))  # type: ignore[misc]  # the loop's own
            if status != CampaignStatus.IN_PROGRESS or account != self._campaign.account_id:
                return False
            self._insist(lambda: look_for_accounts(self._lanes))
            return self._judge()
        return True

    def _judge(self) -> bool:
        """Whether it goes on; it is careful until enough is known, and near the limit of failures.

        Then it claims little at a time and writes outcomes at once, so that what is sent before
        the pause stays little, too.
        """
        judgement = self._insist(lambda: judge_failures(self._campaign))
        if judgement is not Judgement.UNKNOWN:
            self._is_careful = judgement is not Judgement.GOOD
        return judgement is not Judgement.PAUSED

    def _claim_is_worthwhile(self) -> bool:
        return time.monotonic() >= self._next_claim

    def _refill(self) -> None:
        """Keep the board filled with about a second's work."""
        if not self._claim_is_worthwhile():
            return
        size = self._batch_size()
        if self._board.waiting > size // 2:
            return
        lanes = self._usable()
        if not lanes:
            return
        size = self._insist(lambda: self._fair_share(size))
        granted = self._insist(lambda: self._allowance.take(size))
        if not granted.count:
            self._wait_for_rate(granted.wait)
            return
        parts = self._insist(lambda: divide(lanes, granted.count))
        left = {lane.number: part.count for lane, part in zip(lanes, parts, strict=True)}
        self._is_paced = False
        if not self._claim(lanes, left, granted.count):
            self._next_claim = time.monotonic() + _PATIENCE
        if not any(left.values()):
            self._wait_for_rate(min(part.wait for part in parts))

    def _claim(self, lanes: Sequence[Lane], left: dict[int, int], allowed: int) -> bool:
        """Claim what these lanes may send now, and hand it out; whether there was any."""
        size = min(allowed, sum(left.values()))
        claimed = self._insist(lambda: claim(self._shift, size, self._claimed_to)) if size else []
        self._in_hand.update(each.pk for each in claimed)
        self._claimed_to = claimed[-1].pk if claimed else 0
        assigned = self._insist(lambda: self._assign(claimed, lanes, dict(left)))
        self._insist(lambda: self._allowance.give_back(allowed - len(assigned)))
        for lane in lanes:
            used = sum(each.lane == lane.number for each in assigned)
            self._insist(
                lambda lane=lane, used=used: lane.allowance.give_back(left[lane.number] - used)  # type: ignore[misc]  # the loop's own
            )
        self._board.put(assigned)
        self._claimed, self._claimed_at = len(claimed), time.monotonic()
        return bool(claimed)

    def _wait_for_rate(self, seconds: float) -> None:
        """A moment by itself; for longer the campaign is held back, and taken up again then."""
        self._is_paced = seconds <= _LONGEST_WAIT
        self._next_claim = time.monotonic() + min(seconds, _PATIENCE)
        if not self._is_paced and self._board.is_idle:
            self._insist(lambda: hold_back(self._campaign, seconds))

    def _man(self) -> None:
        """As many senders as there is work for; one alone finds out whether trouble is over."""
        has_trouble = self._campaign.trouble_since is not None and not self._has_answered
        for lane in self._usable():
            most = 1 if has_trouble else lane.connections
            wanted = min(most, math.ceil(self._board.waiting_for(lane.number) / _A_SENDER))
            while len(lane.senders) < wanted:
                sender = Sender(
                    self._board,
                    self._journal,
                    lane.composer,
                    lane.make_transport(),
                    self._is_held,
                    lane=lane.number,
                )
                lane.senders.append(sender)
                if sender.transport.is_patient:
                    self._loop.add(sender)
                    continue
                thread = SenderThread(sender)
                self._threads.append(thread)
                thread.start()

    def _batch_size(self) -> int:
        """About a second's work; twice the last batch where half of that was gone sooner.

        A claim costs the same few queries whatever its size.
        """
        if self._is_careful:
            return _SMALLEST_BATCH
        size = int(self._rate_now() * _BATCH_SECONDS) if self._paces else _FIRST_BATCH
        is_early = time.monotonic() - self._claimed_at < _BATCH_SECONDS
        if is_early and self._board.waiting <= self._claimed // 2:
            size = max(size, 2 * self._claimed)
        return min(max(size, _SMALLEST_BATCH), _LARGEST_BATCH)

    def _fair_share(self, size: int) -> int:
        """No more of a large batch than half of this worker's part of what waits for all.

        At the end of a campaign none is left with much to do when the others have nothing.
        """
        if size <= _SMALL_BATCH:
            return size
        waiting = counts_of([self._campaign.pk]).get(self._campaign.pk, {})
        shifts = max(SendShift.objects.filter(campaign=self._campaign).count(), 1)
        # Others have about as much in hand.
        part = (waiting.get(DeliveryState.QUEUED, 0) // shifts - len(self._in_hand)) // 2
        return min(size, max(part, _SMALL_BATCH))

    def _assign(
        self, claimed: list[Claimed], lanes: Sequence[Lane], left: dict[int, int]
    ) -> list[Assignment]:
        assignments, skipped = self._addressing.address(claimed, lanes, left)
        note_accounts(assignments, lanes)
        self._record(skipped)
        return assignments

    def _write_down(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        self._hear_first_answer()
        if not (at_once or self._is_careful) and now < self._next_write:
            return
        self._next_write = now + _WRITE_EVERY
        finished = self._board.collect()
        for start in range(0, len(finished), _WRITE_AT):
            piece = finished[start : start + _WRITE_AT]
            self._record(piece)
            self._journal.forget(each.delivery for each in piece)
        has_failed = any(each.state == DeliveryState.FAILED for each in finished)
        if has_failed or (finished and self._is_careful):
            self._next_look = 0.0
        sent = sum(each.state == DeliveryState.SENT for each in finished)
        if sent:
            self._paces.append((now, sent))
            self._pace.add(now, sent)
        if sent:
            self._insist(lambda: forget_trouble(self._campaign))
        while self._paces and now - self._paces[0][0] > _RATE_SECONDS:
            self._paces.popleft()

    def _record(self, finished: Sequence[Finished]) -> None:
        if finished:
            self._insist(lambda: record(self._shift, finished))
            self._in_hand.difference_update(each.delivery for each in finished)

    def _hear_first_answer(self) -> None:
        """The server is there: others may come."""
        if self._has_answered or not any(each.has_answered for each in self._senders()):
            return
        self._has_answered = True
        self._insist(lambda: forget_trouble(self._campaign))
        self._insist(self._tell_of_answer)

    def _insist(self, act: Callable[[], Value]) -> Value:
        """Do it, again where the database was away; give up when the lease is lost."""
        while True:
            try:
                return act()
            except (OperationalError, InterfaceError) as error:
                self._was_cut_off = True
                connection.close()
                log.warning("the database did not answer", error=str(error))
                if not self._is_held():
                    raise
                time.sleep(_PATIENCE)

"""A worker: the main thread of a shift, which claims, hands out and writes down."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from campaigns.audience import DELETED, not_mailable, takes_bare_addresses
from campaigns.composing import PERSON_FIELDS, Composer, Person
from campaigns.engine.board import Assignment, Board
from campaigns.engine.claims import Claimed, claim, release
from campaigns.engine.journal import Journal
from campaigns.engine.outcomes import Finished, record
from campaigns.engine.pace import Pace
from campaigns.engine.sender import MakeTransport, Sender
from campaigns.lifecycle import forget_trouble
from campaigns.models import Campaign, CampaignStatus, DeliveryState, SendShift
from contacts.models import Contact
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError

log = get_logger(__name__)
Value = TypeVar("Value")

_A_SENDER = 5
_FIRST_BATCH, _LARGEST_BATCH, _SMALLEST_BATCH = 50, 500, 20
_BATCH_SECONDS = 1.0
_WRITE_EVERY = 0.25
_WRITE_AT = 500
_LOOK_EVERY = 0.5
_TURN = 0.02
_PATIENCE = 0.5
_RATE_SECONDS = 3.0
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
        composer: Composer,
        journal: Journal,
        *,
        make_transport: MakeTransport,
        is_held: Callable[[], bool],
        may_go_on: Callable[[], bool],
        has_answered: Callable[[], None],
    ) -> None:
        self._shift = shift
        self._campaign = shift.campaign
        self._composer = composer
        self._journal = journal
        self._is_held = is_held
        self._may_go_on = may_go_on
        self._tell_of_answer = has_answered
        self._has_answered = False
        self._board = Board()
        self._make_transport = make_transport
        self._senders: list[Sender] = []
        self._takes_bare_addresses = takes_bare_addresses(shift.campaign)
        self._paces: deque[tuple[float, int]] = deque()
        self._pace = Pace(carried=shift.rate, began=time.monotonic())
        self._next_look = self._next_write = self._next_claim = 0.0

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
        try:
            while self._may_work():
                self._refill()
                self._man()
                self._write_down()
                if self._board.is_idle and not self._claim_is_worthwhile():
                    break
                self._board.pause(_TURN)
        finally:
            self._board.close()
            self._await_senders()
        self._write_down(at_once=True)
        left = [assignment.claimed.pk for assignment in self._board.clear()]
        self._insist(lambda: release(self._shift, left))

    def _await_senders(self) -> None:
        """Let each end its message. One that hangs is left alone: it cannot outlast the lease."""
        deadline = time.monotonic() + _LAST_MESSAGE_SECONDS
        for sender in self._senders:
            sender.join(max(0.0, deadline - time.monotonic()))

    @property
    def trouble(self) -> MailError | None:
        """Why no connection was left to send over; a final reason first."""
        troubles = [sender.trouble for sender in self._senders if sender.trouble is not None]
        if not troubles or len(troubles) < len(self._senders):
            return None
        return max(troubles, key=lambda error: error.permanent)

    def _may_work(self) -> bool:
        if not self._may_go_on() or not self._is_held():
            return False
        if self._senders and not any(sender.is_alive() for sender in self._senders):
            return False
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_EVERY
            rows = Campaign.objects.filter(pk=self._campaign.pk, tenant__is_active=True)
            found = self._insist(lambda: list(rows.values_list("status", "trouble_since")))
            if not found:
                return False
            status, self._campaign.trouble_since = found[0]
            return bool(status == CampaignStatus.IN_PROGRESS)
        return True

    def _claim_is_worthwhile(self) -> bool:
        return time.monotonic() >= self._next_claim

    def _refill(self) -> None:
        """Keep the board filled with about a second's work."""
        size = self._batch_size()
        if self._board.waiting > size // 2 or not self._claim_is_worthwhile():
            return
        claimed = self._insist(lambda: claim(self._shift, size))
        if not claimed:
            self._next_claim = time.monotonic() + _PATIENCE
            return
        self._board.put(self._insist(lambda: self._assign(claimed)))

    def _man(self) -> None:
        """As many senders as there is work for; one alone finds out whether trouble is over."""
        has_trouble = self._campaign.trouble_since is not None and not self._has_answered
        most = 1 if has_trouble else settings.MAILHUB_CAMPAIGN_CONNECTIONS
        wanted = min(most, math.ceil(self._board.waiting / _A_SENDER))
        while len(self._senders) < wanted:
            sender = Sender(
                self._board, self._journal, self._composer, self._make_transport, self._is_held
            )
            self._senders.append(sender)
            sender.start()

    def _batch_size(self) -> int:
        if not self._paces:
            return _FIRST_BATCH
        return min(max(int(self._rate_now() * _BATCH_SECONDS), _SMALLEST_BATCH), _LARGEST_BATCH)

    def _assign(self, claimed: list[Claimed]) -> list[Assignment]:
        """Read what the messages say about people; leave out who must not be written to now."""
        keys = [each.contact for each in claimed if each.contact is not None]
        rows = Contact.objects.filter(pk__in=keys).values_list("pk", *PERSON_FIELDS)
        people = {pk: Person(*fields) for pk, *fields in rows}
        contacts = {pk: person.email for pk, person in people.items()}
        reasons = not_mailable(self._campaign.tenant, contacts, [each.email for each in claimed])
        assignments: list[Assignment] = []
        skipped: list[Finished] = []
        for each in claimed:
            person = people.get(each.contact or 0)
            reason = reasons.get(each.email) or reasons.get(person.email if person else "")
            if person is None and not self._takes_bare_addresses:
                reason = DELETED
            if reason:
                tried = each.attempt - 1
                skipped.append(Finished(each.pk, tried, DeliveryState.SKIPPED, reason, ""))
                continue
            person = replace(person, email=each.email) if person else Person(each.email)
            message_id = self._composer.message_id(each.pk, each.attempt)
            assignments.append(Assignment(each, person, message_id))
        if skipped:
            record(self._shift, skipped)
        return assignments

    def _write_down(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now < self._next_write:
            return
        self._next_write = now + _WRITE_EVERY
        finished = self._board.collect()
        for start in range(0, len(finished), _WRITE_AT):
            piece = finished[start : start + _WRITE_AT]
            self._insist(lambda piece=piece: record(self._shift, piece))  # type: ignore[misc]  # the loop's own piece
            self._journal.forget(each.delivery for each in piece)
        sent = sum(each.state == DeliveryState.SENT for each in finished)
        if sent:
            self._paces.append((now, sent))
            self._pace.add(now, sent)
        is_first = not self._has_answered and any(each.has_answered for each in self._senders)
        if sent or is_first:
            self._insist(lambda: forget_trouble(self._campaign))
        if is_first:
            self._has_answered = True
            self._insist(self._tell_of_answer)
        while self._paces and now - self._paces[0][0] > _RATE_SECONDS:
            self._paces.popleft()

    def _insist(self, act: Callable[[], Value]) -> Value:
        """Do it, again where the database was away; give up when the lease is lost."""
        while True:
            try:
                return act()
            except (OperationalError, InterfaceError) as error:
                connection.close()
                log.warning("the database did not answer", error=str(error))
                if not self._is_held():
                    raise
                time.sleep(_PATIENCE)

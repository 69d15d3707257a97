"""A sender: one kept-open connection, sending what is on the board, in steps.

Who takes the steps is another's business: a thread of its own (`engine.threads`) or a loop over
many (`engine.loop`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from enum import Enum
from typing import Any

from campaigns.composing import Composer
from campaigns.engine.board import Assignment, Board
from campaigns.engine.journal import Journal
from campaigns.engine.outcomes import Finished
from campaigns.models import DeliveryState
from mailhub.logs import get_logger
from mailhub.mail.errors import InvalidMessage, MailError, RateExceeded, Reply, SendingHeld
from mailhub.mail.merge import TemplateError
from mailhub.mail.transports.base import (
    Job,
    Need,
    Outcome,
    Pause,
    Result,
    Sending,
    Transport,
)

log = get_logger(__name__)

MakeTransport = Callable[[], Transport]

_STATES = {
    Result.SENT: DeliveryState.SENT,
    Result.DEFERRED: DeliveryState.DEFERRED,
    Result.FAILED: DeliveryState.FAILED,
    Result.UNCERTAIN: DeliveryState.UNCERTAIN,
}
_MOST_FRUITLESS = 3
_CLOSING = 421
_LEAST_HELD = 1.0
_LONGEST_REPLY = 1000


class LeaseLost(Exception):
    """This worker may send nothing more."""


class Idle(Enum):
    """There is nothing to send now: go on when there is, or when the board is closed."""

    UNTIL_WORK = "until_work"


Step = Pause | Need | Idle


class Sender:
    """Ends when the board is closed, when the lease is lost or when its connection is no good.

    In the last case `trouble` says why: nothing can be sent, or messages are lost one after
    the other; what happens to a single message is that message's outcome. `has_answered`:
    the server has said something to a message. Every event is in
    the journal before anybody can act on it. A provider that takes nothing now costs no
    message a try.
    """

    def __init__(
        self,
        board: Board,
        journal: Journal,
        composer: Composer,
        transport: Transport,
        is_held: Callable[[], bool],
        *,
        lane: int = 0,
    ) -> None:
        self.lane = lane
        self.transport = transport
        self.trouble: MailError | None = None
        self.has_answered = False
        self.is_over = False
        self.board = board
        self._journal = journal
        self._composer = composer
        self._is_held = is_held
        self._taken: dict[int, Assignment] = {}
        self._fruitless = 0
        self._is_broken = True
        self._held: SendingHeld | None = None
        self._last_trouble = MailError("")

    def steps(self) -> Generator[Step, None, None]:
        """Its work from beginning to end; at its end `is_over`. Raises nothing."""
        try:
            while self.board.is_open:
                if self.board.waiting_for(self.lane):
                    yield from self._send_what_waits()
                else:
                    yield Idle.UNTIL_WORK
        except MailError as error:
            self.trouble = error
            self._defer_what_was_refused(error)
        except LeaseLost:
            log.warning("a sender stopped: its lease is lost")
        except Exception:
            log.exception("a sender failed")
            self.trouble = MailError("The sender failed; the log says more.")
        finally:
            try:
                self._account_for_the_rest()
            finally:
                self.is_over = True

    def _send_what_waits(self) -> Generator[Pause | Need, None, None]:
        """One run over the connection: until the board is empty or the connection is lost."""
        if self._is_broken:
            yield Need.OPEN
        self._is_broken = False
        with closing(self.transport.steps(self._jobs(), self._begin)) as run:
            trouble: MailError | None = None
            while (step := _next(run, trouble)) is not None:
                trouble = None
                if isinstance(step, (Pause, Need)):
                    try:
                        yield step
                    except MailError as error:
                        trouble = error
                else:
                    self._end(*step)
        if self._held is not None:
            raise self._held
        if self._fruitless >= _MOST_FRUITLESS:
            raise self._last_trouble

    def _jobs(self) -> Iterator[Job[Assignment]]:
        while not self._is_broken and self._is_held():
            assignment = self.board.take(self.lane)
            if assignment is None:
                return
            self._taken[assignment.claimed.pk] = assignment
            try:
                envelope, content = self._composer.compose(
                    assignment.person,
                    assignment.message_id,
                    delivery=assignment.claimed.pk,
                    contact=assignment.claimed.contact or 0,
                )
            except (TemplateError, InvalidMessage) as error:
                self._finish(assignment, DeliveryState.FAILED, str(error))
            except Exception:
                log.exception("a message could not be made", delivery=assignment.claimed.pk)
                self._finish(assignment, DeliveryState.FAILED, "The message could not be made.")
            else:
                yield Job(assignment, envelope, content)

    def _begin(self, assignment: Assignment) -> None:
        if not self._is_held():
            raise LeaseLost
        self._journal.started(assignment.claimed.pk, assignment.claimed.attempt)

    def _end(self, assignment: Assignment, outcome: Outcome) -> None:
        error = outcome.error
        if outcome.result is Result.DEFERRED and isinstance(error, SendingHeld):
            self._hold(assignment, error, outcome.reason)
            return
        provider_id = outcome.provider_id
        self._finish(assignment, _STATES[outcome.result], outcome.reason, provider_id=provider_id)
        if outcome.result is Result.SENT or not _is_about_the_connection(outcome):
            self._fruitless = 0
            self.has_answered = True
            return
        # The next run opens the connection anew, and hears why where that fails.
        self._fruitless += 1
        self._is_broken = True
        self._last_trouble = outcome.error or MailError(outcome.reason)

    def _hold(self, assignment: Assignment, error: SendingHeld, words: str) -> None:
        """The provider takes nothing: for a moment only, or there is no use in going on."""
        is_for_a_moment = isinstance(error, RateExceeded)
        held = max(error.retry_after, _LEAST_HELD) if is_for_a_moment else _LEAST_HELD
        self._finish(assignment, DeliveryState.DEFERRED, words, held_seconds=held)
        if not is_for_a_moment:
            self._held = error
            self._is_broken = True

    def _defer_what_was_refused(self, error: MailError) -> None:
        """A transport raises where it sent nothing: what it began was certainly not taken."""
        for pk in [pk for pk in self._taken if self._journal.has_started(pk)]:
            words = str(error.reply or error.message)
            state = DeliveryState.DEFERRED
            self._finish(self._taken[pk], state, words, held_seconds=_LEAST_HELD)

    def _finish(
        self, assignment: Assignment, state: DeliveryState, words: str, **details: Any
    ) -> None:
        claimed = assignment.claimed
        words = words.replace("\0", "")[:_LONGEST_REPLY]
        finished = Finished(
            claimed.pk, claimed.attempt, state, words, assignment.message_id, **details
        )
        self._journal.ended(finished)
        del self._taken[claimed.pk]
        self.board.finish(finished)

    def _account_for_the_rest(self) -> None:
        """What was taken and has no outcome goes back, unless its content may have left."""
        offered = [pk for pk in self._taken if self._journal.has_started(pk)]
        for pk in offered:
            words = "The sender failed before the server's answer was seen."
            self._finish(self._taken[pk], DeliveryState.UNCERTAIN, words)
        self.board.put_back(self._taken.values())
        self._taken.clear()


def _next(
    run: Sending[Assignment], trouble: MailError | None
) -> Pause | Need | tuple[Assignment, Outcome] | None:
    try:
        return next(run) if trouble is None else run.throw(trouble)
    except StopIteration:
        return None


def _is_about_the_connection(outcome: Outcome) -> bool:
    if outcome.result is Result.UNCERTAIN:
        return True
    return outcome.result is Result.DEFERRED and _closes(outcome.reply)


def _closes(reply: Reply | None) -> bool:
    return reply is None or reply.code == _CLOSING

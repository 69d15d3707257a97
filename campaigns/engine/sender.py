"""A sender: one thread with one kept-open connection, sending what is on the board."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from campaigns.composing import Composer
from campaigns.engine.board import Assignment, Board
from campaigns.engine.journal import Journal
from campaigns.engine.outcomes import Finished
from campaigns.models import DeliveryState
from mailhub.logs import get_logger
from mailhub.mail.errors import InvalidMessage, MailError, Reply
from mailhub.mail.merge import TemplateError
from mailhub.mail.transports.base import Job, Outcome, Result, Transport

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
_LONGEST_REPLY = 1000


class LeaseLost(Exception):
    """This worker may send nothing more."""


class Sender(threading.Thread):
    """Ends when the board is closed, when the lease is lost or when its connection is no good.

    In the last case `trouble` says why: nothing can be sent, or messages are lost one after
    the other; what happens to a single message is that message's outcome. `has_answered`:
    the server has said something to a message. Every event is in
    the journal before anybody can act on it.
    """

    def __init__(
        self,
        board: Board,
        journal: Journal,
        composer: Composer,
        make_transport: MakeTransport,
        is_held: Callable[[], bool],
    ) -> None:
        super().__init__(name="campaign-sender", daemon=True)
        self.trouble: MailError | None = None
        self.has_answered = False
        self._board = board
        self._journal = journal
        self._composer = composer
        self._make_transport = make_transport
        self._is_held = is_held
        self._taken: dict[int, Assignment] = {}
        self._fruitless = 0
        self._is_broken = False
        self._last_trouble = MailError("")

    def run(self) -> None:
        transport = self._make_transport()
        try:
            while self._board.await_work():
                self._send_what_waits(transport)
        except MailError as error:
            self.trouble = error
        except LeaseLost:
            log.warning("a sender stopped: its lease is lost")
        except Exception:
            log.exception("a sender failed")
            self.trouble = MailError("The sender failed; the log says more.")
        finally:
            self._account_for_the_rest()
            transport.close()

    def _send_what_waits(self, transport: Transport) -> None:
        """One run over the connection: until the board is empty or the connection is lost."""
        transport.open()
        self._is_broken = False
        for assignment, outcome in transport.send_many(self._jobs(), before_data=self._begin):
            self._end(assignment, outcome)
        if self._fruitless >= _MOST_FRUITLESS:
            raise self._last_trouble

    def _jobs(self) -> Iterator[Job[Assignment]]:
        while not self._is_broken and self._is_held():
            assignment = self._board.take()
            if assignment is None:
                return
            self._taken[assignment.claimed.pk] = assignment
            try:
                envelope, content = self._composer.compose(assignment.person, assignment.message_id)
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
        self._finish(assignment, _STATES[outcome.result], outcome.reason)
        if outcome.result is Result.SENT or not _is_about_the_connection(outcome):
            self._fruitless = 0
            self.has_answered = True
            return
        # The next run opens the connection anew, and hears why where that fails.
        self._fruitless += 1
        self._is_broken = True
        self._last_trouble = outcome.error or MailError(outcome.reason)

    def _finish(self, assignment: Assignment, state: DeliveryState, words: str) -> None:
        claimed = assignment.claimed
        words = words.replace("\0", "")[:_LONGEST_REPLY]
        finished = Finished(claimed.pk, claimed.attempt, state, words, assignment.message_id)
        self._journal.ended(finished)
        del self._taken[claimed.pk]
        self._board.finish(finished)

    def _account_for_the_rest(self) -> None:
        """What was taken and has no outcome goes back, unless its content may have left."""
        offered = [pk for pk in self._taken if self._journal.has_started(pk)]
        for pk in offered:
            words = "The sender failed before the server's answer was seen."
            self._finish(self._taken[pk], DeliveryState.UNCERTAIN, words)
        self._board.put_back(self._taken.values())
        self._taken.clear()


def _is_about_the_connection(outcome: Outcome) -> bool:
    if outcome.result is Result.UNCERTAIN:
        return True
    return outcome.result is Result.DEFERRED and _closes(outcome.reply)


def _closes(reply: Reply | None) -> bool:
    return reply is None or reply.code == _CLOSING

"""The part of a transport that keeps a connection: when to open, retry and give up."""

from __future__ import annotations

import select
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from time import monotonic
from typing import Generic

from mailhub.mail.errors import DeliveryUncertain, MailError, Reply
from mailhub.mail.transports.base import (
    Envelope,
    Job,
    Key,
    Need,
    Outcome,
    Pause,
    Result,
    Sending,
    Transport,
)
from mailhub.mail.transports.octets import Content
from mailhub.mail.transports.session import (
    ConnectionLost,
    Session,
    Steps,
    after_verdict,
    refused_before_content,
)

# A connection as young as that has not been closed for its age.
_FRESH_SECONDS = 2.0
# Connections in a row that carried no message to a reply before a run gives up.
_MOST_FRUITLESS = 5


def wait_for(pause: Pause) -> None:
    """Wait as long as a pause asks, in this thread."""
    poll = select.poll()
    poll.register(pause.descriptor, pause.event)
    poll.poll(max(pause.until - monotonic(), 0.001) * 1000)


class ConnectedTransport(Transport):
    """Keeps one `Session` open between sends.

    A message whose content has not left is offered once more on a new connection where
    the old one had been used before: servers close idle connections, and many answer 421
    after so many messages. A message whose final dot has left is never offered again.
    """

    def __init__(self) -> None:
        self._session: Session | None = None
        self._opened_at = 0.0
        # Whether the connection has carried a message, or has lain idle.
        self._used = False

    @abstractmethod
    def _connect(self) -> Session:
        """A new connection, greeted and logged in. Raises MailError."""

    def open(self) -> None:
        if self._session is None:
            self._session = self._connect()
            self._used, self._opened_at = False, monotonic()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.quit()

    def drop(self) -> None:
        """Close without a goodbye."""
        session, self._session = self._session, None
        if session is not None:
            session.abort()

    def send_many(
        self,
        jobs: Iterable[Job[Key]],
        *,
        before_data: Callable[[Key], None] | None = None,
    ) -> Iterator[tuple[Key, Outcome]]:
        """See Transport.send_many.

        The iterable is read one job ahead. MailError is raised only before the first
        outcome; when a new connection cannot be made later, or five in a row carry
        nothing, the rest of the jobs are deferred with the reason.
        """
        run = self.steps(jobs, before_data)
        error: MailError | None = None
        try:
            while True:
                step = run.throw(error) if error is not None else next(run)
                error = None
                if isinstance(step, Pause):
                    wait_for(step)
                elif isinstance(step, Need):
                    try:
                        self.open()
                    except MailError as trouble:
                        error = trouble
                else:
                    yield step
        except StopIteration:
            return
        finally:
            run.close()

    is_patient = True

    def steps(
        self, jobs: Iterable[Job[Key]], before_data: Callable[[Key], None] | None
    ) -> Sending[Key]:
        """See Transport.steps."""
        if self._session is not None:
            self._used |= monotonic() - self._opened_at > _FRESH_SECONDS
            if not self._session.is_alive():
                self.drop()
        run = _Run(self, before_data)
        try:
            yield from run.outcomes(iter(jobs))
        except GeneratorExit:
            # The caller stopped between two messages; the next one may be announced.
            if run.announced or run.is_busy:
                self.drop()
            raise
        except BaseException:
            self.drop()
            raise

    @property
    def session(self) -> Session | None:
        """The open connection."""
        return self._session

    @property
    def used(self) -> bool:
        """Whether a loss of the connection may be about its age and not the message."""
        return self._used

    def mark_used(self) -> None:
        """The connection has carried a message to a reply."""
        self._used = True


class _Run(Generic[Key]):
    """One run of messages over as many connections as it takes."""

    def __init__(
        self, transport: ConnectedTransport, before_data: Callable[[Key], None] | None
    ) -> None:
        self.announced = False
        self.is_busy = False
        self._transport = transport
        self._before_data = before_data
        self._fruitless = 0
        self._given_up: MailError | None = None

    def outcomes(self, jobs: Iterator[Job[Key]]) -> Sending[Key]:
        first = True
        job = next(jobs, None)
        while job is not None:
            following = next(jobs, None)
            self.is_busy = True
            try:
                outcome = yield from self._send(job, following)
            except MailError as error:
                if first:
                    raise
                self._given_up = error
                outcome = _deferred(error)
            first = self.is_busy = False
            yield job.key, outcome
            job = following

    def _send(
        self, job: Job[Key], following: Job[Key] | None
    ) -> Generator[Pause | Need, None, Outcome]:
        if self._given_up is not None:
            return _deferred(self._given_up)
        while True:
            session = self._transport.session
            while session is None:
                yield Need.OPEN
                session = self._transport.session
            if not self.announced:
                refusal = session.refusal(job.envelope, job.content)
                if refusal is not None:
                    return Outcome(Result.FAILED, error=refusal)
            retry = self._transport.used
            try:
                return (yield from self._offer(session, job, following))
            except ConnectionLost as lost:
                self._lose(lost)
                if not retry or self._given_up is not None:
                    return _deferred(lost.error, lost.reply)

    def _offer(self, session: Session, job: Job[Key], following: Job[Key] | None) -> Steps[Outcome]:
        """One try. ConnectionLost from here means that the content has not left."""
        if not self.announced:
            yield from session.announce(job.envelope, job.content)
        self.announced = False
        answers = yield from session.answers()
        if not answers.ready:
            self._progress()
            return refused_before_content(answers)
        after = self._allowed(session, following)
        if self._before_data is not None:
            self._before_data(job.key)
        announced = yield from session.transfer(job.content, after)
        try:
            verdict = yield from session.verdict()
        except ConnectionLost as lost:
            self._lose(lost)
            error = DeliveryUncertain(
                "The connection was lost after the message, before the server's answer."
            )
            error.__cause__ = lost
            return Outcome(Result.UNCERTAIN, refused=answers.refused, error=error)
        outcome = after_verdict(answers, verdict)
        if verdict.code == 421 and outcome.error is not None:
            self._lose(ConnectionLost(outcome.error, verdict))
            return outcome
        self.announced = announced
        self._progress()
        return outcome

    def _allowed(
        self, session: Session, following: Job[Key] | None
    ) -> tuple[Envelope, Content] | None:
        if following is None:
            return None
        if session.refusal(following.envelope, following.content) is not None:
            return None
        return following.envelope, following.content

    def _progress(self) -> None:
        self._fruitless = 0
        self._transport.mark_used()

    def _lose(self, lost: ConnectionLost) -> None:
        self.announced = False
        self._transport.drop()
        self._fruitless += 1
        if self._fruitless >= _MOST_FRUITLESS:
            self._given_up = lost.error


def _deferred(error: MailError, reply: Reply | None = None) -> Outcome:
    return Outcome(Result.DEFERRED, reply=reply, error=error)

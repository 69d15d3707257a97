"""One connection's conversation about messages, without saying how it is carried.

The real SMTP connection and its twin in memory are both a `Session`; what follows from
the replies (retry on a new connection, sent, deferred, failed, uncertain) is decided once,
in `ConnectedTransport`, for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import TypeVar

from mailhub.mail.errors import (
    CommandRefused,
    InvalidMessage,
    MailError,
    MessageRefused,
    RecipientRefused,
    Reply,
)
from mailhub.mail.transports.base import Envelope, Outcome, Pause, Result
from mailhub.mail.transports.octets import Content


class ConnectionLost(Exception):
    """The connection can carry nothing more; `error` says why, in words for a person.

    `reply` is the 421 with which the server closed it, where it said so.
    """

    def __init__(self, error: MailError, reply: Reply | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.reply = reply


Value = TypeVar("Value")
# What takes its time without blocking: it stops at each pause, and ends with a value.
Steps = Generator[Pause, None, Value]


class Answers:
    """The replies before the content: to MAIL, to each RCPT, and to DATA.

    `recipients` are empty and `data` is None where the server was not asked any more.
    `accepted` are the recipients that the server took, `refused` those that it did not.
    """

    __slots__ = ("accepted", "data", "mail", "refused")

    def __init__(
        self, mail: Reply, recipients: tuple[tuple[str, Reply], ...] = (), data: Reply | None = None
    ) -> None:
        self.mail = mail
        self.data = data
        self.accepted = tuple([address for address, reply in recipients if reply.code < 300])
        self.refused: dict[str, Reply] = {}
        if len(self.accepted) < len(recipients):
            self.refused = {address: reply for address, reply in recipients if reply.code >= 300}

    @property
    def ready(self) -> bool:
        """Whether the server waits for the content of a message that somebody will get."""
        return self.data is not None and self.data.code == 354 and bool(self.accepted)


class Session(ABC):
    """An open, logged-in connection. Each method may raise ConnectionLost.

    What waits for the server does so in steps, so that one thread can serve many connections.
    """

    @abstractmethod
    def refusal(self, envelope: Envelope, content: Content) -> InvalidMessage | None:
        """Why this message must not be offered to this server at all; None if it may."""

    @abstractmethod
    def announce(self, envelope: Envelope, content: Content) -> Steps[None]:
        """Send MAIL, RCPT and DATA, as many of them as the server lets us send unasked."""

    @abstractmethod
    def answers(self) -> Steps[Answers]:
        """The replies to what was announced last."""

    @abstractmethod
    def transfer(self, content: Content, following: tuple[Envelope, Content] | None) -> Steps[bool]:
        """Send the content and the final dot; True if `following` was announced with it.

        Raises ConnectionLost where the final dot has certainly not left.
        """

    @abstractmethod
    def verdict(self) -> Steps[Reply]:
        """The reply to the final dot. ConnectionLost from here means: uncertain."""

    @abstractmethod
    def is_alive(self) -> bool:
        """Whether a connection that was left idle can still be used, as far as is known."""

    @abstractmethod
    def quit(self) -> None:
        """Say goodbye and close; never raises."""

    @abstractmethod
    def abort(self) -> None:
        """Close at once; never raises."""


def refused_before_content(answers: Answers) -> Outcome:
    """The outcome of a message whose content the server did not want."""
    if answers.mail.code >= 300:
        refusal: MailError = CommandRefused("The server refused the sender.", answers.mail)
        return _not_sent(refusal, answers.mail, {})
    refused = answers.refused
    if not answers.accepted:
        # One recipient that may be taken later is worth another try.
        replies = list(refused.values())
        reply = next((each for each in replies if not each.permanent), replies[0])
        what = "the recipient" if len(refused) == 1 else "all recipients"
        return _not_sent(RecipientRefused(f"The server refused {what}.", reply), reply, refused)
    reply = answers.data or answers.mail
    return _not_sent(MessageRefused("The server refused the message.", reply), reply, refused)


def after_verdict(answers: Answers, verdict: Reply) -> Outcome:
    """The outcome of a message that the server has read to its end."""
    if verdict.code < 300:
        return Outcome(
            Result.SENT, accepted=answers.accepted, refused=answers.refused, reply=verdict
        )
    error = MessageRefused("The server refused the message.", verdict)
    return _not_sent(error, verdict, answers.refused)


def _not_sent(error: MailError, reply: Reply, refused: dict[str, Reply]) -> Outcome:
    result = Result.FAILED if reply.permanent else Result.DEFERRED
    return Outcome(result, refused=refused, reply=reply, error=error)

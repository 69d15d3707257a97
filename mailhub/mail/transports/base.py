"""What every way of sending mail promises.

A transport takes an `Envelope` (who, to whom) and the finished bytes of a message and
answers with an `Outcome`. It is a context manager that keeps its connections open
between sends; one transport serves one thread.

A send never raises for what happens to one message: refusals, lost connections and
time-outs are outcomes, because the caller must write each of them down. It raises
`MailError` only where nothing can be sent at all: the host is not allowed, the login
fails, encryption is refused, the server cannot be reached.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import ClassVar, Generic, NamedTuple, TypeVar

from mailhub.mail.errors import MailError, Reply
from mailhub.mail.opened import Opened
from mailhub.mail.transports.octets import Content

Key = TypeVar("Key")


class Result(StrEnum):
    """How one send ended."""

    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


class Envelope(NamedTuple):
    """RFC 5321 sender and recipients; not the header fields."""

    sender: str
    recipients: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """What became of one message.

    SENT: accepted for at least one recipient. DEFERRED: worth another try. FAILED: the
    server refused it for good. UNCERTAIN: lost after the final dot, before its reply.
    `accepted` and `refused` are per recipient; `reply` is the server's last word on the
    message; `provider_id` is the provider's own id for it (the SES message id).
    """

    result: Result
    accepted: tuple[str, ...] = ()
    refused: dict[str, Reply] = field(default_factory=dict)
    reply: Reply | None = None
    error: MailError | None = None
    provider_id: str = ""

    @property
    def reason(self) -> str:
        """The server's words, or ours where it said nothing; for a person."""
        if self.reply is not None:
            return str(self.reply)
        return self.error.message if self.error else ""


class Job(NamedTuple, Generic[Key]):
    """One message to send in a run: `key` is the caller's own name for it."""

    key: Key
    envelope: Envelope
    content: Content


class Pause(NamedTuple):
    """Nothing can be done before `descriptor` is ready for `event` (as `select.poll` names it).

    Whoever waits goes on at `until`, too, by `time.monotonic`.
    """

    descriptor: int
    event: int
    until: float


class Need(Enum):
    """What a run asks of whoever drives it.

    OPEN: that the transport is open; a MailError from that is thrown into the run.
    """

    OPEN = "open"


# A run of messages: it stops where it has to wait or needs something, and with each outcome.
Sending = Generator[Pause | Need | tuple[Key, Outcome], None, None]


class Transport(Opened):
    """One open way to a mail server."""

    def send(self, envelope: Envelope, content: Content) -> Outcome:
        """Send one message, opening the connection where needed."""
        [(_, outcome)] = list(self.send_many([Job(None, envelope, content)]))
        return outcome

    @abstractmethod
    def send_many(
        self,
        jobs: Iterable[Job[Key]],
        *,
        before_data: Callable[[Key], None] | None = None,
    ) -> Iterator[tuple[Key, Outcome]]:
        """Send a run of messages over one connection, as fast as the server takes them.

        Yields each job's outcome in order, as soon as it is known. `before_data` is
        called with a job's key just before the first octet of its content leaves, which
        is the moment from which a crash leaves that message in doubt. At most one
        message is in that state at any moment. It is called again for a message whose
        connection was lost before its last octet had left and that is offered once more.
        """

    # Whether the steps never block, so that one thread may take those of many transports.
    is_patient: ClassVar[bool] = False

    def steps(
        self, jobs: Iterable[Job[Key]], before_data: Callable[[Key], None] | None
    ) -> Sending[Key]:
        """What `send_many` does, for who waits and opens the transport by himself.

        A run that is closed between two outcomes leaves a connection that can be used.
        """
        yield from self.send_many(jobs, before_data=before_data)

"""A mail server and a transport that exist in memory only, for tests and trials.

The twin keeps to the contract of the real thing: what follows from a reply is decided by
the same code, and the server can be told to refuse, to close and to fall silent at each
step of a conversation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock

from mailhub.mail.addresses import encode_address
from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    InvalidMessage,
    MailError,
    Reply,
    ServerTimeout,
)
from mailhub.mail.transports.base import Envelope, Pause
from mailhub.mail.transports.connected import ConnectedTransport
from mailhub.mail.transports.octets import Content
from mailhub.mail.transports.session import Answers, ConnectionLost, Session, Steps

# It never waits.
_AT_ONCE: tuple[Pause, ...] = ()


class Step(StrEnum):
    """Where in a conversation a script takes effect. CONTENT is the final dot."""

    CONNECT = "connect"
    HELLO = "hello"
    STARTTLS = "starttls"
    LOGIN = "login"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"


class Disturbance(StrEnum):
    """What a server may do instead of replying.

    DROP closes the connection, HANG never answers, and ACCEPT_AND_DROP (at CONTENT only)
    takes the message and closes without saying so.
    """

    DROP = "drop"
    HANG = "hang"
    ACCEPT_AND_DROP = "accept_and_drop"


@dataclass(slots=True)
class _Line:
    step: Step
    answer: str | Disturbance
    address: str
    after: int
    times: int | None


class Script:
    """What a server answers in place of its usual reply. To be used from any thread."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._lock = Lock()

    def answer(
        self,
        step: Step,
        answer: str | Disturbance,
        *,
        address: str = "",
        after: int = 0,
        times: int | None = None,
    ) -> None:
        """Answer `step` with a reply such as "550 5.1.1 No such user", or disturb it.

        Only for this `address` where one is given (the sender at MAIL, the recipient at
        RCPT, any recipient at CONTENT); let the first `after` pass; `times` answers at
        most, for ever where None.
        """
        with self._lock:
            self._lines.append(_Line(step, answer, address, after, times))

    def clear(self) -> None:
        """Answer as usual again."""
        with self._lock:
            self._lines.clear()

    def take(self, step: Step, addresses: Iterable[str] = ()) -> str | Disturbance | None:
        """The scripted answer for this step now; None for the usual one."""
        known = set(addresses)
        with self._lock:
            for line in self._lines:
                if line.step is not step or (line.address and line.address not in known):
                    continue
                if line.after > 0:
                    line.after -= 1
                elif line.times is None or line.times > 0:
                    line.times = None if line.times is None else line.times - 1
                    return line.answer
        return None


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message that a server has taken: its envelope and its octets."""

    envelope: Envelope
    content: bytes


class InMemoryServer:
    """Collects messages and follows its script."""

    def __init__(self, *, size_limit: int = 0) -> None:
        self.script = Script()
        self.messages: list[ReceivedMessage] = []
        self.connections = 0
        self.size_limit = size_limit
        # Raised when the server is stopped: older connections are dead then.
        self.generation = 0

    def close_connections(self) -> None:
        """Close every open connection, as a server does with idle ones."""
        self.generation += 1


class InMemoryTransport(ConnectedTransport):
    """Sends to an InMemoryServer."""

    def __init__(self, server: InMemoryServer) -> None:
        super().__init__()
        self._server = server

    def _connect(self) -> Session:
        self._server.connections += 1
        session = _InMemorySession(self._server)
        for step in (Step.CONNECT, Step.HELLO, Step.LOGIN):
            try:
                reply = session.reply(step, "250 OK")
            except ConnectionLost as lost:
                raise lost.error from lost
            if reply.code >= 400:
                raise CommandRefused("The server refused us.", reply)
        return session


class _InMemorySession(Session):
    def __init__(self, server: InMemoryServer) -> None:
        self._server = server
        self._generation = server.generation
        self._open = True
        self._announced = Envelope("", ())
        self._accepted: tuple[str, ...] = ()
        self._sender = ""
        self._content = b""

    def refusal(self, envelope: Envelope, content: Content) -> InvalidMessage | None:
        try:
            for address in (envelope.sender, *envelope.recipients):
                if address:
                    encode_address(address)
        except InvalidMessage as error:
            return error
        if not envelope.recipients:
            return InvalidMessage("A message needs at least one recipient.")
        if 0 < self._server.size_limit < len(content):
            return InvalidMessage("The message is larger than the server takes.")
        return None

    def announce(self, envelope: Envelope, content: Content) -> Steps[None]:
        yield from _AT_ONCE
        self._check()
        self._announced = envelope

    def answers(self) -> Steps[Answers]:
        yield from _AT_ONCE
        self._check()
        envelope = self._announced
        mail = self._ask(Step.MAIL, "250 OK", envelope.sender)
        if mail.code >= 300:
            return Answers(mail)
        recipients = tuple(
            (each, self._ask(Step.RCPT, "250 OK", each)) for each in envelope.recipients
        )
        answers = Answers(mail, recipients)
        if not answers.accepted:
            return answers
        self._sender, self._accepted = envelope.sender, answers.accepted
        return Answers(mail, recipients, self._ask(Step.DATA, "354 Go ahead"))

    def transfer(self, content: Content, following: tuple[Envelope, Content] | None) -> Steps[bool]:
        yield from _AT_ONCE
        self._check()
        self._content = bytes(content)
        if following is not None:
            self._announced = following[0]
        return following is not None

    def verdict(self) -> Steps[Reply]:
        yield from _AT_ONCE
        received = ReceivedMessage(Envelope(self._sender, self._accepted), self._content)
        answer = self._server.script.take(Step.CONTENT, self._accepted)
        if answer is Disturbance.ACCEPT_AND_DROP:
            self._server.messages.append(received)
            answer = Disturbance.DROP
        reply = self._obey(answer, "250 2.0.0 OK")
        if reply.code < 300:
            self._server.messages.append(received)
        return reply

    def is_alive(self) -> bool:
        return self._open and self._generation == self._server.generation

    def quit(self) -> None:
        self._open = False

    def abort(self) -> None:
        self._open = False

    def reply(self, step: Step, usual: str, address: str = "") -> Reply:
        """The server's reply to one step. Raises ConnectionLost."""
        return self._obey(self._server.script.take(step, (address,)), usual)

    def _ask(self, step: Step, usual: str, address: str = "") -> Reply:
        reply = self.reply(step, usual, address)
        if reply.code == 421:
            self._open = False
            error = CommandRefused("The server closed the connection.", reply)
            raise ConnectionLost(error, reply)
        return reply

    def _obey(self, answer: str | Disturbance | None, usual: str) -> Reply:
        if isinstance(answer, Disturbance):
            self._open = False
            error: MailError = ConnectionFailed("The connection to the server was lost.")
            if answer is Disturbance.HANG:
                error = ServerTimeout("The server did not answer in time.")
            raise ConnectionLost(error)
        code, _, text = (answer or usual).partition(" ")
        return Reply.read(int(code), [text])

    def _check(self) -> None:
        if not self.is_alive():
            raise ConnectionLost(ConnectionFailed("The connection to the server was lost."))

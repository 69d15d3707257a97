"""The octets of SMTP: one connection, its replies, and how it is lost.

A subclass of smtplib.SMTP for what it knows (EHLO, extensions, HELO for old servers) with
its reading and writing replaced: a reply has a deadline and a size limit, whatever the
server does, and every loss of the connection is a `ConnectionLost` that says why.
"""

from __future__ import annotations

import select
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from time import monotonic
from typing import Any

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    EncryptionRefused,
    MailError,
    ProtocolViolation,
    Reply,
    ServerTimeout,
    connection_failed,
)
from mailhub.mail.server import Encryption, ServerSettings
from mailhub.mail.transports.base import Pause
from mailhub.mail.transports.connected import wait_for
from mailhub.mail.transports.session import ConnectionLost, Steps, Value

_LONGEST_REPLY = 65_536
_CHUNK = 262_144
# RFC 5321 section 4.1.4, and what servers say to any command that they do not know.
_KNOWS_NO_EHLO = {500, 501, 502, 503, 504, 550}


@cache
def own_name() -> str:
    """How this machine names itself in EHLO: its full name, or an address literal."""
    name = socket.getfqdn()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


@lru_cache(maxsize=256)
def _read_line(line: bytes) -> Reply | None:
    """The reply that this line is as a whole; None where it is a part of one, or none at all.

    Most replies of a connection are the same few, again and again.
    """
    code = line[:3]
    if not _is_code(code) or line[3:4] == b"-" or len(line) > _LONGEST_REPLY:
        return None
    return Reply.read(int(code), [line[4:].strip().decode("utf-8", "replace")])


def _is_code(code: bytes) -> bool:
    return code.isdigit() and b"200" <= code <= b"599"


def _gathered(pieces: Sequence[bytes]) -> Sequence[bytes]:
    """What is small goes as one, what is large by itself and is not copied."""
    if len(pieces) > 1 and sum(map(len, pieces)) <= _CHUNK:
        return [b"".join(pieces)]
    return pieces


def _drive(steps: Steps[Value]) -> Value:
    """Take them all, waiting in this thread."""
    try:
        while True:
            wait_for(next(steps))
    except StopIteration as end:
        value: Value = end.value
        return value


class SmtpWire(smtplib.SMTP):
    """One TCP or TLS connection to an SMTP server."""

    def __init__(self, settings: ServerSettings, local_hostname: str) -> None:
        super().__init__(local_hostname=local_hostname, timeout=settings.timeout)
        self._settings = settings
        self._incoming = b""
        self._read_to = 0
        self._seconds = settings.timeout

    def dial(self) -> None:
        """Connect, protect the connection as the settings ask, and say EHLO.

        Raises MailError; nothing is left open then.
        """
        with self.or_hang_up():
            self._dial()

    @contextmanager
    def or_hang_up(self) -> Iterator[None]:
        """Where the block fails, nothing is left open; a lost connection raises its MailError."""
        try:
            yield
        except ConnectionLost as lost:
            self.hang_up()
            raise lost.error from lost
        except BaseException:
            self.hang_up()
            raise

    def _dial(self) -> None:
        settings = self._settings
        try:
            self.sock = settings.guard.connect(settings.host, settings.port, settings.timeout)
        except TimeoutError as error:
            raise ServerTimeout(f"{settings.address} did not answer in time.") from error
        except (OSError, OverflowError) as error:
            raise connection_failed(error, settings.address) from error
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        if settings.encryption is Encryption.TLS:
            self._encrypt()
        self._expect(220, self.reply(), "greeted us with a refusal")
        self._say_hello()
        if settings.encryption is Encryption.STARTTLS:
            self._start_tls()
            self._say_hello()

    def _say_hello(self) -> None:
        self.ehlo_resp = self.helo_resp = None
        code, text = self.ehlo()
        if code in _KNOWS_NO_EHLO:
            self.does_esmtp = False
            self._expect(250, self.ask(f"HELO {self.local_hostname}"), "refused HELO")
        else:
            reply = Reply.read(code, text.decode("utf-8", "replace").split("\n"))
            self._expect(250, reply, "refused EHLO")

    def _start_tls(self) -> None:
        if not self.has_extn("starttls"):
            raise EncryptionRefused(f"{self._settings.address} does not offer STARTTLS.")
        self._expect(220, self.ask("STARTTLS"), "refused STARTTLS")
        if self._has_more():
            # Whatever came before the handshake could be anybody's (CVE-2011-0411).
            raise ProtocolViolation(f"{self._settings.address} spoke before encryption began.")
        self._encrypt()
        self.esmtp_features = {}
        self.does_esmtp = False

    def _encrypt(self) -> None:
        settings = self._settings
        assert self.sock is not None
        try:
            context = settings.tls_context()
            self.sock.settimeout(settings.timeout)
            self.sock = context.wrap_socket(self.sock, server_hostname=settings.host)
            self.sock.setblocking(False)
        except ssl.SSLCertVerificationError as error:
            raise EncryptionRefused(
                f"The certificate of {settings.address} could not be verified: "
                f"{error.verify_message}."
            ) from error
        except TimeoutError as error:
            raise ServerTimeout(f"{settings.address} did not answer in time.") from error
        except (OSError, ValueError) as error:
            raise connection_failed(error, settings.address) from error

    def _expect(self, code: int, reply: Reply, deed: str) -> None:
        if reply.code != code:
            raise CommandRefused(f"{self._settings.address} {deed}.", reply)

    def ask(self, command: str) -> Reply:
        """Send one command and wait for its reply."""
        self.putcmd(command)
        return self.reply()

    def reply(self, seconds: float | None = None) -> Reply:
        """The next reply, whatever its code; 421 too. Raises ConnectionLost."""
        return _drive(self.next_reply(seconds))

    def next_reply(self, seconds: float | None = None) -> Steps[Reply]:
        """See `reply`."""
        self._seconds = self._settings.timeout if seconds is None else seconds
        if not self._has_line():
            yield from self._await_line(monotonic() + self._seconds)
        reply = self.reply_at_hand()
        if reply is None:
            code, text = yield from self._whole_reply()
            reply = Reply.read(code, text.decode("utf-8", "replace").split("\n"))
        return reply

    def reply_at_hand(self) -> Reply | None:
        """A reply of one line that has come in; None where there is none."""
        end = self._incoming.find(b"\n", self._read_to)
        if end < 0:
            return None
        reply = _read_line(self._incoming[self._read_to : end])
        if reply is not None:
            self._read_to = end + 1
        return reply

    def send(self, s: Any) -> None:
        """smtplib's way out for commands; all or ConnectionLost."""
        octets = s.encode("utf-8") if isinstance(s, str) else bytes(s)
        _drive(self.send_all(octets))

    def send_all(self, octets: bytes) -> Steps[None]:
        """All of it, or ConnectionLost."""
        sent, error = yield from self.write([octets])
        if sent < len(octets):
            raise self.lost(error) from error

    def write(self, pieces: Sequence[bytes]) -> Steps[tuple[int, OSError | None]]:
        """Send these one after the other; (how many octets went to the network, what stopped them).

        Each piece may take the settings' time-out. Octets not counted have certainly not
        been read by the server as a whole command.
        """
        if self.sock is None:
            return 0, OSError("not connected")
        sent, taken, until = 0, 0, 0.0
        try:
            for octets in _gathered(pieces):
                view, taken = memoryview(octets), 0
                while taken < len(octets):
                    try:
                        taken += self.sock.send(view[taken : taken + _CHUNK])
                        until = 0.0
                    except (BlockingIOError, ssl.SSLWantWriteError):
                        event = select.POLLOUT
                    except ssl.SSLWantReadError:
                        event = select.POLLIN
                    else:
                        continue
                    until = self._still(until)
                    yield Pause(self.sock.fileno(), event, until)
                sent += taken
                taken = 0
        except OSError as error:
            return sent + taken, error
        return sent, None

    def _still(self, until: float) -> float:
        """Until when to wait for the server to take a piece, if not too long already."""
        now = monotonic()
        if until and now >= until:
            raise TimeoutError
        return until or now + self._settings.timeout

    def getreply(self) -> tuple[int, bytes]:
        """smtplib's way in: (code, the lines without their codes, joined by LF)."""
        return _drive(self._whole_reply())

    def _whole_reply(self) -> Steps[tuple[int, bytes]]:
        deadline = monotonic() + self._seconds
        lines: list[bytes] = []
        total = 0
        while True:
            line = yield from self._line(deadline)
            total += len(line)
            if not _is_code(line[:3]) or total > _LONGEST_REPLY:
                error = ProtocolViolation(
                    f"{self._settings.address} gave an answer that is not SMTP."
                )
                raise ConnectionLost(error)
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(lines)

    def _line(self, deadline: float) -> Steps[bytes]:
        yield from self._await_line(deadline)
        begin = self._read_to
        self._read_to = self._incoming.index(b"\n", begin) + 1
        return self._incoming[begin : self._read_to - 1]

    def _has_line(self, searched: int = 0) -> bool:
        return self._incoming.find(b"\n", self._read_to + searched) >= 0

    def _await_line(self, deadline: float) -> Steps[None]:
        searched = 0
        while not self._has_line(searched):
            rest = self._incoming[self._read_to :]
            if len(rest) > _LONGEST_REPLY or self.sock is None:
                raise self.lost(None)
            try:
                received = yield from self._receive(self.sock, deadline)
            except OSError as error:
                raise self.lost(error) from error
            if not received:
                raise self.lost(None)
            self._incoming, self._read_to, searched = rest + received, 0, len(rest)

    def _receive(self, sock: socket.socket, deadline: float) -> Steps[bytes]:
        """What has come in, waiting for it. The socket itself never blocks: a time-out of its
        own would cost three calls of the system for each octet string that is sent or read."""
        event = select.POLLIN
        # TLS may hold what no wait for the socket would tell of.
        may_be_there = isinstance(sock, ssl.SSLSocket)
        while True:
            if not may_be_there:
                if monotonic() >= deadline:
                    raise TimeoutError
                yield Pause(sock.fileno(), event, deadline)
            try:
                return sock.recv(65_536)
            except (BlockingIOError, ssl.SSLWantReadError):
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
            may_be_there = False

    def _has_more(self) -> bool:
        return self._read_to < len(self._incoming)

    def is_alive(self) -> bool:
        """Whether nothing has come in: a server that closes says 421, or ends the stream."""
        if self.sock is None or self._has_more():
            return False
        try:
            received = self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        del received
        return False

    def hang_up(self) -> None:
        """Close without a word; never raises."""
        sock, self.sock = self.sock, None
        if sock is not None:
            try:
                sock.close()
            except OSError:  # the connection is gone either way
                return

    def lost(self, error: OSError | None) -> ConnectionLost:
        address = self._settings.address
        why: MailError = ConnectionFailed(f"The connection to {address} was lost.")
        if isinstance(error, TimeoutError):
            why = ServerTimeout(f"{address} did not answer in time.")
        return ConnectionLost(why)

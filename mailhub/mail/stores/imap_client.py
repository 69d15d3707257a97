"""One IMAP connection: made to a checked address, and encrypted.

imap-tools and imaplib do the talking; this makes them careful. The socket comes from
the settings' host guard (so the address checked is the address connected to), TLS is
verified, literals are bounded, and every failure becomes a `MailError` that holds no secret.
"""

from __future__ import annotations

import imaplib
import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from imap_tools import BaseMailBox

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    EncryptionRefused,
    LoginDeferred,
    MailError,
    ProtocolViolation,
    Reply,
    ServerTimeout,
    connection_failed,
)
from mailhub.mail.octets import LARGE, Spool
from mailhub.mail.parsing.charsets import clean_text
from mailhub.mail.server import Encryption, PasswordLogin, ServerSettings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# No mail server takes larger messages; a larger literal is an attack on our memory.
MAXIMUM_LITERAL_OCTETS = 256 * 1024 * 1024
MAXIMUM_LINE_OCTETS = 64 * 1024 * 1024
_READ_OCTETS = 1024 * 1024
_BUFFER_OCTETS = 64 * 1024
# What a short line costs in memory beside its octets.
_LINE_COST = 64
# A server that goes on saying a little is waited for as long as three that say nothing, and
# longer by what it says at this pace, in octets a second.
_WAITS = 3
_SLOWEST = 500

# RFC 5530 response codes and words of servers that will let the user in later.
_DEFERRED = re.compile(
    r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG|THROTTLED)\b|too many|maximum number of connections"
    r"|connection limit|try again later|temporar|rate limit|throttl|server busy|overloaded",
    re.IGNORECASE,
)
NONSENSE = ("unexpected", "unterminated", "got more than", "not IMAP4", "no CAPABILITY")
_BARE_RESULT = re.compile(rb"\S{1,30} (?:OK|NO|BAD)\r\n")
_FETCH_BEGIN = re.compile(rb"\* (\d{1,10}) FETCH (?=\()")
_LITERAL_END = re.compile(rb"\{(\d{1,19})\}\Z")
CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class GuardedClient(imaplib.IMAP4):
    """imaplib's client over a socket of the host guard, with TLS where settings ask for it."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._received = 0
        self._unread = b""
        # Of the command under way: what was heard, and the seconds spent waiting for it.
        self._heard = 0
        self._waited = 0.0
        super().__init__(settings.host, settings.port, settings.timeout)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        settings = self._settings
        connection = settings.guard.connect(settings.host, settings.port, settings.timeout)
        connection.settimeout(settings.timeout)
        # imaplib sends a literal and its line end apart: unsent halves would wait 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings.encryption is not Encryption.TLS:
            return connection
        try:
            return settings.tls_context().wrap_socket(connection, server_hostname=settings.host)
        except BaseException:
            connection.close()
            raise

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Connect; from then on it is counted what the server says."""
        super().open(host, port, timeout)
        self.listen()

    def listen(self) -> None:
        """Count what the socket brings: to be called again when TLS has begun on it."""
        self.file.close()
        heard = _HeardSocket(self.sock, self._hear)
        self.file = io.BufferedReader(heard, _BUFFER_OCTETS)

    def readline(self) -> bytes:
        """A line; a result without text gets the space behind it that imaplib waits for.

        SEARCH names all that it found in one: eight octets a message.
        """
        if self._unread:
            line, self._unread = self._unread, b""
            return line
        # Its stub says str.
        line = self.file.readline(MAXIMUM_LINE_OCTETS + 1)  # type: ignore[assignment]
        if len(line) > MAXIMUM_LINE_OCTETS:
            raise self.error(f"got more than {MAXIMUM_LINE_OCTETS} octets in a line")
        self._heard += _LINE_COST
        return line[:-2] + b" \r\n" if _BARE_RESULT.fullmatch(line) else line

    def _get_capabilities(self) -> None:
        """From the greeting where it tells them; what came before TLS began holds no longer."""
        if self._tls_established or not take_capabilities(self):
            self.untagged_responses.pop("CAPABILITY", None)
            # Its stub leaves this method out.
            super()._get_capabilities()  # type: ignore[misc]

    def _command(self, name: str, *args: Any) -> bytes:
        self._heard, self._waited = 0, 0.0
        # Its stub leaves this method out.
        tag: bytes = super()._command(name, *args)  # type: ignore[misc]
        return tag

    def _get_response(self) -> bytes | None:
        """imaplib's own, with a shorter way for FETCH: a pass reads one for every message."""
        line = self.readline()
        begin = _FETCH_BEGIN.match(line)
        if begin is None or not line.endswith(b"\r\n"):
            self._unread = line
            # Its stub leaves this method out.
            answer: bytes | None = super()._get_response()  # type: ignore[misc]
            return answer
        told = self.untagged_responses.setdefault("FETCH", [])
        text = begin[1] + b" " + line[begin.end() : -2]
        while text.endswith(b"}") and (literal := _LITERAL_END.search(text)):
            told.append((text, self.read(int(literal[1]))))
            text = self._get_line()
        told.append(text)
        return line[:-2]

    def read(self, size: int) -> bytes:
        """A literal, whole or not at all, in pieces so that a false size costs nothing."""
        if size > MAXIMUM_LITERAL_OCTETS:
            raise self.abort(f"unexpected literal of {size} octets")
        # One that would be too much is not waited for.
        self._refuse_excess(size)
        folder = self._settings.spool_folder
        if folder is not None and size > LARGE:
            with Spool(folder) as spool:
                for piece in self._literal(size):
                    spool.write(piece)
                return spool.beginning()
        # Pieces that are joined would be held twice.
        buffer = io.BytesIO()
        for piece in self._literal(size):
            buffer.write(piece)
        return buffer.getvalue()

    def _literal(self, size: int) -> Iterator[bytes]:
        while size > 0:
            piece = super().read(min(size, _READ_OCTETS))
            if not piece:
                raise self.abort("socket error: EOF in a literal")
            yield piece
            size -= len(piece)

    def release(self) -> tuple[socket.socket, bytes]:
        """The socket, which blocks no more, and what was read ahead of the last answer.

        From then on this client can but be hung up.
        """
        self.sock.setblocking(False)
        try:
            # Its stub says that `file` reads text.
            ahead = cast("io.BufferedReader", self.file).peek()
        except (BlockingIOError, ssl.SSLWantReadError):
            ahead = b""
        return self.sock, ahead

    def _hear(self, octets: int, seconds: float) -> None:
        """Note what came in, and how long that took; leave a server that has no end."""
        self._received += octets
        self._heard += octets
        self._waited += seconds
        self._refuse_excess(0)
        if self._waited > _WAITS * self._settings.timeout + self._heard / _SLOWEST:
            raise TimeoutError("timed out: too slow")

    def _refuse_excess(self, announced: int) -> None:
        limit, of_command = self._settings.answer_limit, self._settings.command_limit
        if 0 < limit < self._received + announced or self._heard + announced > of_command:
            raise self.abort("unexpected amount of octets")


class _HeardSocket(io.RawIOBase):
    """A socket's octets, each portion told to `hear` with the seconds that it took to come."""

    def __init__(self, connection: socket.socket, hear: Callable[[int, float], None]) -> None:
        self._raw = connection.makefile("rb", buffering=0)
        self._hear = hear

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        begun = time.monotonic()
        octets = self._raw.readinto(buffer)
        self._hear(octets or 0, time.monotonic() - begun)
        return octets

    def close(self) -> None:
        self._raw.close()
        super().close()


class GuardedMailBox(BaseMailBox):
    """imap-tools' mailbox over a guarded client, STARTTLS done before anything else."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        client = GuardedClient(self._settings)
        if self._settings.encryption is Encryption.STARTTLS:
            try:
                _start_tls(client, self._settings)
            except BaseException:
                hang_up(client)
                raise
        return client


def hang_up(client: imaplib.IMAP4) -> None:
    """Close the socket, without a word to the server; never raises."""
    try:
        client.shutdown()
    except (OSError, ValueError):
        # It is closed already, which is what was wanted.
        return


def refresh_capabilities(client: imaplib.IMAP4) -> None:
    """Ask CAPABILITY; what was told before the login holds no longer (RFC 9051 section 6.1.1)."""
    _, lines = client.capability()
    client.capabilities = _read_capabilities(lines)


def take_capabilities(client: imaplib.IMAP4) -> bool:
    """Those that the server has told unasked since they were last taken; False for none."""
    told = _read_capabilities(client.untagged_responses.pop("CAPABILITY", []))
    if told:
        client.capabilities = told
    return bool(told)


def _read_capabilities(lines: Sequence[bytes | tuple[bytes, bytes]]) -> tuple[str, ...]:
    told = next((line for line in reversed(lines) if line and isinstance(line, bytes)), b"")
    return tuple(told.decode("ascii", "replace").upper().split())


@contextmanager
def explained(settings: ServerSettings, doing: str) -> Iterator[None]:
    """Whatever goes wrong on the connection becomes a MailError without secrets."""
    try:
        yield
    except MailError:
        raise
    except (imaplib.IMAP4.error, OSError, ValueError, IndexError, EOFError) as error:
        # The cause is not chained: tracebacks of imaplib show the command, password included.
        raise _explain(error, settings, doing) from None


def _explain(error: Exception, settings: ServerSettings, doing: str) -> MailError:
    where = settings.address
    words = server_words(error, settings)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return EncryptionRefused(f"The certificate of {where} is not valid: {reason}.")
    if isinstance(error, TimeoutError) or "timed out" in words:
        return ServerTimeout(f"{where} did not answer in time ({doing}).")
    if isinstance(error, OSError):
        return connection_failed(error, where)
    if not isinstance(error, imaplib.IMAP4.error) or any(word in words for word in NONSENSE):
        return ProtocolViolation(f"{where} gave an answer that makes no sense ({doing}).")
    if doing in {"connect", "log in"} and lets_in_later(words):
        return LoginDeferred(f"{where} lets nobody in for now: {words}", Reply(0, words))
    if isinstance(error, imaplib.IMAP4.readonly):
        return CommandRefused(f"{where} opened the folder for reading only.")
    if isinstance(error, imaplib.IMAP4.abort) and "socket error" in words:
        return ConnectionFailed(f"{where} closed the connection.")
    if isinstance(error, imaplib.IMAP4.abort) or doing == "connect":
        return ConnectionFailed(f"{where} closed the connection ({doing}): {words}")
    return CommandRefused(f"{where} refused {doing}: {words}", Reply(0, words))


def lets_in_later(words: str) -> bool:
    """Whether a server refuses for now: too many connections, or trouble of its own."""
    return _DEFERRED.search(words) is not None


def server_words(said: object, settings: ServerSettings) -> str:
    """What a server said, as one clean line in which no secret of ours stands."""
    if isinstance(said, bytes):
        text = said.decode("utf-8", "replace")
    elif isinstance(said, imaplib.IMAP4.error) and said.args and isinstance(said.args[0], bytes):
        text = said.args[0].decode("utf-8", "replace")
    else:
        text = str(said)
    if isinstance(settings.login, PasswordLogin) and settings.login.password:
        text = text.replace(settings.login.password, "…")
    return " ".join(CONTROLS.sub(" ", clean_text(text)).split())[:300]


def _start_tls(client: GuardedClient, settings: ServerSettings) -> None:
    # PREAUTH before STARTTLS is how an attacker in the middle skips it (RFC 9051 section 11.1).
    if client.state != "NONAUTH" or "STARTTLS" not in client.capabilities:
        raise EncryptionRefused(f"{settings.address} offers no STARTTLS.")
    try:
        client.starttls(settings.tls_context())
        client.listen()
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise EncryptionRefused(
            f"{settings.address} refused STARTTLS: {server_words(error, settings)}"
        ) from None

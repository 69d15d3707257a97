"""The octets of POP3: one connection, its answers, and how it is lost.

Every answer has a bound of octets and of time, whatever the server does: an endless line,
an endless list, or one octet every few seconds.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    EncryptionRefused,
    InvalidMessage,
    MailError,
    ProtocolViolation,
    ServerTimeout,
    connection_failed,
)
from mailhub.mail.octets import LARGE, PIECE, Spool
from mailhub.mail.parsing.charsets import clean_text
from mailhub.mail.server import Encryption, ServerSettings

# RFC 2449 section 4 allows 512.
LONGEST_LINE = 4096
LARGEST_CAPABILITIES = 64 * 1024
# What is slower is a server that wants to keep us.
_FEWEST_OCTETS_A_SECOND = 512
_CHUNK = 256 * 1024
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_CODE = re.compile(r"\[([A-Z]+(?:[/-][A-Z]+)*)\]", re.IGNORECASE)


class Refused(CommandRefused):
    """-ERR, with its response code (RFC 2449 section 8) or ""."""

    def __init__(self, message: str, words: str) -> None:
        super().__init__(message)
        self.words = words
        found = _CODE.match(words)
        self.response_code = found[1].upper() if found else ""


class Pop3Wire:
    """One TCP or TLS connection; `secrets` are blotted out of a server's words."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._incoming = bytearray()
        self._end_of_text = b"\r\n.\r\n"
        self._asked_at = 0.0
        self._received = 0
        self.secrets: set[str] = set()
        with self._explained():
            self._socket = settings.guard.connect(settings.host, settings.port, settings.timeout)
        try:
            self._socket.settimeout(settings.timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if settings.encryption is Encryption.TLS:
                self._encrypt()
        except BaseException:
            self.hang_up()
            raise

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS protects it."""
        return isinstance(self._socket, ssl.SSLSocket)

    def start_tls(self) -> None:
        """After the server's +OK to STLS (RFC 2595 section 4)."""
        if self._incoming:
            # Said in the clear by somebody in between, to be taken for said in private.
            raise ProtocolViolation(f"{self._settings.address} spoke before TLS began.")
        self._encrypt()

    def hang_up(self) -> None:
        """Close the connection without a word; never raises."""
        self._incoming.clear()
        try:
            self._socket.close()
        except OSError:
            # It is closed already, which is what was wanted.
            return

    def hurry(self, seconds: float) -> None:
        """Wait for the server no longer than this from now on."""
        with self._explained():
            self._socket.settimeout(min(seconds, self._settings.timeout))

    def say(self, lines: Sequence[str]) -> None:
        """Send these commands together."""
        for line in lines:
            if _CONTROLS.search(line):
                raise InvalidMessage("A command must not contain control characters.")
        self._expect()
        with self._explained():
            self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def answer(self) -> str:
        """The words after +OK. Raises Refused on -ERR, ProtocolViolation on anything else."""
        return self.check(self.line())

    def command(self, line: str) -> str:
        """One command and its answer."""
        self.say([line])
        return self.answer()

    def text(self, largest: int) -> bytes:
        """What follows +OK up to the line of a single dot, dots unstuffed.

        Raises ProtocolViolation above `largest` octets.
        """
        end, found_at = self._end_of_text, -1
        looked = 0
        while found_at < 0:
            if self._incoming.startswith(end[end.index(b".") :]):
                del self._incoming[: len(end) - end.index(b".")]
                return b""
            found_at = self._incoming.find(end, max(0, looked - len(end)))
            looked = len(self._incoming)
            if found_at > largest or (found_at < 0 and looked > largest + len(end)):
                raise ProtocolViolation(f"{self._settings.address} sends without an end.")
            if found_at < 0 and looked > LARGE and self._settings.spool_folder is not None:
                return self._spooled_text(largest, self._settings.spool_folder)
            if found_at < 0:
                self._receive()
        content = self._text_before(found_at + end.index(b"."))
        del self._incoming[: len(end) - end.index(b".")]
        return content[1:] if content.startswith(b".") else content

    def _spooled_text(self, largest: int, folder: Path) -> bytes:
        """The same of what is too long to be held, its last line end still to come each time."""
        end, line_end = self._end_of_text, self._end_of_text[: self._end_of_text.index(b".")]
        is_first = True
        with Spool(folder) as spool:
            while True:
                found_at = self._incoming.find(end)
                upto = found_at + len(line_end)
                if found_at < 0:
                    # Without a line end, all but what may be the beginning of one.
                    last = self._incoming.rfind(line_end)
                    upto = last if last > 0 else max(0, len(self._incoming) - len(end))
                if len(spool) + upto > largest:
                    raise ProtocolViolation(f"{self._settings.address} sends without an end.")
                piece = self._text_before(upto)
                spool.write(piece[1:] if is_first and piece.startswith(b".") else piece)
                is_first = is_first and not piece
                if found_at >= 0:
                    del self._incoming[: len(end) - len(line_end)]
                    return spool.beginning()
                while len(self._incoming) < PIECE and self._incoming.find(end) < 0:
                    self._receive()

    def _text_before(self, end: int) -> bytes:
        """Take so many octets, and away the dot that was put before each that begins a line."""
        content = bytes(memoryview(self._incoming)[:end])
        del self._incoming[:end]
        # RFC 1939 section 3.
        is_bare = self._end_of_text[:1] == b"\n"
        return content.replace(b"\n.", b"\n") if is_bare else _unstuffed(content)

    def line(self) -> bytes:
        """One line without its end."""
        self._expect()
        while (end := self._incoming.find(b"\n")) < 0 and len(self._incoming) <= LONGEST_LINE:
            self._receive()
        if not 0 <= end <= LONGEST_LINE:
            raise ProtocolViolation(f"{self._settings.address} sends a line without an end.")
        found = bytes(self._incoming[: end + 1])
        del self._incoming[: end + 1]
        # A server that ends its lines by LF alone does so in what follows too.
        self._end_of_text = b"\r\n.\r\n" if found.endswith(b"\r\n") else b"\n.\n"
        return found.rstrip(b"\r\n")

    def without_secrets(self, words: str) -> str:
        """A server's words as one clean line, ours left out."""
        for secret in self.secrets:
            words = words.replace(secret, "…")
        return " ".join(_CONTROLS.sub(" ", clean_text(words)).split())[:300]

    def check(self, line: bytes) -> str:
        """The words of a line that says +OK; raises as `answer` does."""
        text = line.decode("utf-8", "replace")
        status, _, words = text.partition(" ")
        if status.upper() == "+OK":
            return words
        if status.upper() != "-ERR":
            raise ProtocolViolation(f"{self._settings.address} gave a senseless answer.")
        words = self.without_secrets(words)
        raise Refused(f"{self._settings.address} refused: {words}", words)

    def _expect(self) -> None:
        """An answer begins: its time runs from here."""
        self._asked_at, self._received = monotonic(), 0

    def _receive(self) -> None:
        waited = monotonic() - self._asked_at
        if waited > self._settings.timeout and self._received < waited * _FEWEST_OCTETS_A_SECOND:
            raise ServerTimeout(f"{self._settings.address} answers too slowly.")
        with self._explained():
            arrived = self._socket.recv(_CHUNK)
        if not arrived:
            raise ConnectionFailed(f"{self._settings.address} closed the connection.")
        self._received += len(arrived)
        self._incoming += arrived

    def _encrypt(self) -> None:
        settings = self._settings
        with self._explained():
            self._socket = settings.tls_context().wrap_socket(
                self._socket, server_hostname=settings.host
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong on the socket becomes a MailError."""
        where = self._settings.address
        try:
            yield
        except MailError:
            raise
        except TimeoutError as error:
            raise ServerTimeout(f"{where} did not answer in time.") from error
        except ssl.SSLCertVerificationError as error:
            reason = error.verify_message.rstrip(".")
            raise EncryptionRefused(f"The certificate of {where} does not verify: {reason}.") from (
                error
            )
        except (OSError, OverflowError) as error:
            raise connection_failed(error, where) from error


def _unstuffed(content: bytes) -> bytes:
    return content.replace(b"\r\n.", b"\r\n") if b"\r\n." in content else content

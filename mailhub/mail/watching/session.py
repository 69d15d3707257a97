"""A connection in IDLE, without its socket: octets in, news and octets out.

    IDLE sent ──"+ "──> idling ──renew──> DONE sent ──tagged OK──> IDLE sent

What a server says in between is never lost: it tells it at the next chance (RFC 9051
section 7). All of it is bounded: lines, literals, how much it says between two renewals, and
how many folders are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    LoginDeferred,
    MailError,
    ProtocolViolation,
)
from mailhub.mail.server import ServerSettings
from mailhub.mail.stores.folder_names import decode_name
from mailhub.mail.stores.imap_client import lets_in_later, server_words
from mailhub.mail.stores.imap_responses import Response, read_status_name

LONGEST_LINE = 64 * 1024
# Eight hundred thousand flags may change at once; nobody has as much to tell twice.
MOST_OCTETS = 32 * 1024 * 1024
MOST_FOLDERS = 100
INBOX = "INBOX"

_LITERAL = re.compile(rb"~?\{(\d{1,10})\+?\}\Z")
_NUMBERED = re.compile(rb"\* (\d{1,10}) (EXISTS|EXPUNGE|FETCH)\b", re.IGNORECASE)
_OVERFLOW = re.compile(rb"\* OK \[NOTIFICATIONOVERFLOW\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class News:
    """The paths of the folders in which something happened; none means: anywhere."""

    folders: frozenset[str] = frozenset()

    def __or__(self, other: News) -> News:
        if not self.folders or not other.folders:
            return EVERYWHERE
        both = self.folders | other.folders
        return News(both) if len(both) <= MOST_FOLDERS else EVERYWHERE


EVERYWHERE = News()


class _State(Enum):
    ASKED = "IDLE sent"
    IDLING = "idling"
    LEAVING = "DONE sent"


class IdleSession:
    """`exists` is how many messages the inbox held when it was opened."""

    def __init__(self, settings: ServerSettings, exists: int) -> None:
        self._settings = settings
        self._exists: int | None = exists
        self._lines = _Lines(settings)
        self._state = _State.IDLING
        self._turn = 0
        self._received = 0
        self._news: News | None = None
        self._output = b""
        self._ask()

    @property
    def owes_an_answer(self) -> bool:
        """Whether the server was asked something that it has not answered."""
        return self._state is not _State.IDLING

    def renew(self) -> None:
        """Leave IDLE and enter it anew, which a server that is gone does not answer."""
        if self._state is _State.IDLING:
            self._state, self._output = _State.LEAVING, b"DONE\r\n"

    def take_output(self) -> bytes:
        """What is to be sent now."""
        output, self._output = self._output, b""
        return output

    def take_news(self) -> News | None:
        """What happened since the last call."""
        news, self._news = self._news, None
        return news

    def receive(self, octets: bytes) -> None:
        """Raises the MailError that ends it, news that came before it kept."""
        self._received += len(octets)
        if self._received > MOST_OCTETS:
            raise ProtocolViolation(f"{self._settings.address} does not stop talking.")
        for response in self._lines.feed(octets):
            self._read(response)

    def _ask(self) -> None:
        self._turn += 1
        self._received = 0
        self._state, self._output = _State.ASKED, self._tag + b" IDLE\r\n"

    @property
    def _tag(self) -> bytes:
        return b"W%d" % self._turn

    def _read(self, response: Response) -> None:
        text = response[0]
        if text.startswith(b"*"):
            self._read_untagged(response)
        elif text.startswith(b"+"):
            if self._state is _State.ASKED:
                self._state = _State.IDLING
        elif text.startswith(self._tag + b" "):
            self._read_result(text[len(self._tag) + 1 :])
        else:
            raise ProtocolViolation(f"{self._settings.address} answers what was not asked.")

    def _read_result(self, result: bytes) -> None:
        is_ok = result[:2].upper() == b"OK"
        if is_ok and self._state is _State.LEAVING:
            self._ask()
            return
        words = server_words(result, self._settings)
        if self._state is _State.ASKED and not is_ok:
            raise CommandRefused(f"{self._settings.address} refused IDLE: {words}")
        raise ConnectionFailed(f"{self._settings.address} ended IDLE: {words}")

    def _read_untagged(self, response: Response) -> None:
        text = response[0]
        numbered = _NUMBERED.match(text)
        if numbered:
            self._read_numbered(int(numbered[1]), numbered[2].upper())
        elif text[:9].upper() == b"* STATUS ":
            name = read_status_name((text[9:], response[1]))
            if name:
                self._note(News(frozenset({decode_name(name)})))
        elif text[:11].upper() == b"* VANISHED ":
            # In place of EXPUNGE (RFC 7162 section 3.2.10), by UIDs: the next EXISTS says how
            # many are left, and may be the number known before it.
            self._exists = None
            self._note(News(frozenset({INBOX})))
        elif text[:5].upper() == b"* BYE":
            raise _goodbye(text[5:], self._settings)
        elif _OVERFLOW.match(text):
            self._note(EVERYWHERE)
            raise ConnectionFailed(f"{self._settings.address} has too much to tell.")

    def _read_numbered(self, number: int, what: bytes) -> None:
        if what == b"EXISTS":
            # Some servers repeat it whenever they are asked something.
            if number == self._exists:
                return
            self._exists = number
        elif what == b"EXPUNGE" and self._exists is not None:
            self._exists = max(0, self._exists - 1)
        self._note(News(frozenset({INBOX})))

    def _note(self, news: News) -> None:
        self._news = news if self._news is None else self._news | news


class _Lines:
    """Octets → whole responses, literals included (RFC 9051 section 4.3)."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._buffer = b""
        self._text = b""
        self._literals: list[bytes] = []

    def feed(self, octets: bytes) -> Iterator[Response]:
        buffer, start = self._buffer + octets, 0
        while (end := buffer.find(b"\n", start)) != -1:
            line = buffer[start:end].removesuffix(b"\r")
            announced = _LITERAL.search(line)
            size = int(announced[1]) if announced else 0
            self._refuse_if_long(max(len(line), size))
            if len(buffer) < end + 1 + size:
                break
            start = end + 1 + size
            if announced:
                self._text += line[: announced.start()].replace(b"\0", b"") + b"\0"
                self._literals.append(buffer[end + 1 : start])
                continue
            whole = self._text + line.replace(b"\0", b""), self._literals
            self._text, self._literals = b"", []
            if whole[0]:
                yield whole
        self._buffer = buffer[start:]
        self._refuse_if_long(len(self._buffer) // 2)

    def _refuse_if_long(self, size: int) -> None:
        held = len(self._text) + sum(map(len, self._literals))
        if size + held > LONGEST_LINE:
            raise ProtocolViolation(f"{self._settings.address} sends a line without an end.")


def _goodbye(said: bytes, settings: ServerSettings) -> MailError:
    words = server_words(said, settings)
    if lets_in_later(words):
        return LoginDeferred(f"{settings.address} lets nobody in for now: {words}")
    return ConnectionFailed(f"{settings.address} closed the connection: {words}")

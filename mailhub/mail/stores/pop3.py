"""A POP3 account (RFC 1939) behind `Maildrop`.

    open ──> listing (UIDL), sizes (LIST) ──> retrieve (RETR), header (TOP)
                                         └──> delete (DELE) ──> finish (QUIT)

Nothing is deleted unless `delete` is called and `finish` says goodbye: a session that is
lost leaves the maildrop as it was (RFC 1939 section 6).
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from mailhub.mail.errors import (
    CapabilityMissing,
    CommandRefused,
    ConnectionFailed,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.server import ServerSettings
from mailhub.mail.stores.maildrop import (
    LARGEST_MESSAGE,
    MOST_MESSAGES,
    ListedMessage,
    Maildrop,
    Retrieved,
)
from mailhub.mail.stores.pop3_login import log_in
from mailhub.mail.stores.pop3_wire import Pop3Wire, Refused

# RFC 1939 section 7: 1 to 70 characters from 0x21 to 0x7E.
_UNIQUE_ID = re.compile(rb"[\x21-\x7e]{1,70}")
_LARGEST_LIST = 48 * 1024 * 1024
_LARGEST_HEADER = 1024 * 1024
# Commands sent ahead: few octets, so that neither side waits for the other to read.
_AHEAD = 32
# How long a server may take to say goodbye.
_GOODBYE_SECONDS = 5.0
_HIGHEST_NUMBER = 10**9
_LARGEST_SIZE = 2**53


class Pop3Maildrop(Maildrop):
    """One POP3 session; see `Maildrop` for what each method promises."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._wire: Pop3Wire | None = None
        self._capabilities: frozenset[str] = frozenset()
        self._has_marked = False

    def __repr__(self) -> str:
        return f"Pop3Maildrop({self._settings.address})"

    def open(self) -> None:
        if self._wire is None:
            self._wire, self._capabilities = log_in(self._settings)
            self._has_marked = False

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is None:
            return
        try:
            # QUIT would carry out what is marked to be deleted.
            if not self._has_marked:
                wire.hurry(_GOODBYE_SECONDS)
                wire.command("QUIT")
        except (Refused, ConnectionFailed, ServerTimeout, ProtocolViolation):
            # Whoever leaves need not be wished well.
            return
        finally:
            wire.hang_up()

    @property
    def capabilities(self) -> frozenset[str]:
        return self._capabilities

    def listing(self) -> list[ListedMessage]:
        with self._session() as wire:
            try:
                wire.command("UIDL")
            except Refused as refused:
                if refused.response_code == "SYS/TEMP":
                    raise
                raise CapabilityMissing(
                    f"{self._settings.address} gives messages no unique-ids (UIDL), so that new"
                    f" ones cannot be told from those known: {refused.words}"
                ) from None
            lines = _lines(wire)
        found: dict[int, ListedMessage] = {}
        for number, rest in lines:
            if rest and number not in found:
                found[number] = ListedMessage(number, _unique_id(rest))
        return [found[number] for number in sorted(found)]

    def sizes(self) -> dict[int, int]:
        with self._session() as wire:
            wire.command("LIST")
            lines = _lines(wire)
        return {number: _size(rest) for number, rest in lines}

    def retrieve(
        self, numbers: Sequence[int], *, largest: int = LARGEST_MESSAGE
    ) -> Iterator[Retrieved]:
        for said in self._answers("RETR", numbers):
            if isinstance(said, Retrieved):
                yield said
            else:
                with self._session() as wire:
                    content = wire.text(largest)
                yield Retrieved(said, content)

    def header(self, number: int) -> bytes:
        with self._session() as wire:
            wire.command(f"TOP {number} 0")
            content = wire.text(_LARGEST_HEADER)
        end = content.find(b"\r\n\r\n")
        return content if end < 0 else content[: end + 4]

    def delete(self, numbers: Collection[int]) -> set[int]:
        self._has_marked = True
        answers = self._answers("DELE", sorted(set(numbers)))
        return {said for said in answers if not isinstance(said, Retrieved)}

    def finish(self) -> None:
        with self._session() as wire:
            try:
                wire.command("QUIT")
            except Refused as refused:
                raise CommandRefused(
                    f"{self._settings.address} did not delete all that it was to: {refused.words}"
                ) from None
            finally:
                self._leave()

    def _answers(self, verb: str, numbers: Sequence[int]) -> Iterator[int | Retrieved]:
        """Each number as the server says +OK to it, or what it said against it.

        An iteration that is given up leaves the session, as answers are still to come.
        """
        ahead = _AHEAD if "PIPELINING" in self._capabilities else 1
        waiting, asked = deque(numbers), deque[int]()
        try:
            while waiting or asked:
                with self._session() as wire:
                    if len(asked) <= ahead // 2:
                        more = [waiting.popleft() for _ in range(ahead - len(asked)) if waiting]
                        if more:
                            wire.say([f"{verb} {number}" for number in more])
                            asked.extend(more)
                    number = asked[0]
                    said = _said(wire, number)
                yield said
                asked.popleft()
        finally:
            if asked:
                self._leave()

    @contextmanager
    def _session(self) -> Iterator[Pop3Wire]:
        """The open session; an error that leaves it useless closes it."""
        if self._wire is None:
            raise ConnectionFailed(f"The connection to {self._settings.address} is not open.")
        try:
            yield self._wire
        except (ConnectionFailed, ServerTimeout, ProtocolViolation):
            self._leave()
            raise

    def _leave(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.hang_up()


def _said(wire: Pop3Wire, number: int) -> int | Retrieved:
    try:
        wire.answer()
    except Refused as refused:
        return Retrieved(number, None, refused.message)
    return number


def _lines(wire: Pop3Wire) -> list[tuple[int, bytes]]:
    """A list's lines, each as a message number and what stands behind it."""
    found: list[tuple[int, bytes]] = []
    for line in wire.text(_LARGEST_LIST).splitlines():
        number, _, rest = line.strip().partition(b" ")
        if number.isdigit() and len(number) <= 10 and 0 < int(number) <= _HIGHEST_NUMBER:
            found.append((int(number), rest.strip()))
    if len(found) > MOST_MESSAGES:
        raise ProtocolViolation("The server lists more messages than a maildrop can hold.")
    return found


def _unique_id(octets: bytes) -> str:
    """As it is; one that breaks the rules stands for itself by its digest."""
    if _UNIQUE_ID.fullmatch(octets):
        return octets.decode("ascii")
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


def _size(octets: bytes) -> int:
    word = octets.split()[0] if octets.split() else b""
    return min(int(word), _LARGEST_SIZE) if word.isdigit() and len(word) <= 18 else 0

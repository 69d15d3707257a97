"""Fetches batches of messages, around the ones that the server cannot hand over.

A message may make the server refuse the batch, answer nonsense, hang up or fall silent.
The first that did not arrive is then tried alone, and the rest halved, until the guilty
one is alone, which is skipped. Each failure of the connection costs a new one; a server
that fails too often, or that takes no new connection, ends the pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mailboxes.sync.control import Control, Interruption, PassInterrupted
from mailboxes.sync.plan import LARGEST_UID
from mailhub.logs import get_logger
from mailhub.mail.errors import (
    CommandRefused,
    ConnectionFailed,
    MailError,
    ProtocolViolation,
    ServerTimeout,
)
from mailhub.mail.stores.base import FolderStatus, RemoteMessage, Store

log = get_logger(__name__)

# What a new connection may cure.
BROKEN_CONNECTION = (ConnectionFailed, ProtocolViolation, ServerTimeout)
MOST_RECONNECTIONS = 40
NOT_HANDED_OVER = "The server lists this message but does not hand it over."


class Connection:
    """The store of a pass, opened anew where it broke."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._left = MOST_RECONNECTIONS
        self._selected: FolderStatus | None = None

    @property
    def exists(self) -> int:
        """How many messages the folder held when it was selected."""
        return self._selected.messages if self._selected else 0

    @property
    def highest_uid(self) -> int:
        """No message that the folder held when it was selected has a higher UID."""
        uid_next = self._selected.uid_next if self._selected else 0
        return uid_next - 1 if uid_next > 0 else LARGEST_UID

    def select(self, path: str) -> FolderStatus:
        """Select a folder; a new connection selects it again."""
        self._selected = self.store.select(path)
        return self._selected

    def leave_folder(self) -> None:
        """A new connection need not select any folder."""
        self._selected = None

    def renew(self, error: MailError) -> None:
        """Connect anew after `error`; raises it, or what the new attempt met."""
        if self._left == 0:
            raise error
        self._left -= 1
        log.info("connecting anew", reason=error.message)
        self.store.close()
        self.store.open()
        self.store.track_changes()
        if self._selected is not None:
            before, now = self._selected, self.store.select(self._selected.path)
            if now.uid_validity != before.uid_validity:
                raise ProtocolViolation("The folder was made anew while it was read.")


@dataclass(slots=True)
class Fetched:
    """`missing`: they are gone; `refused`: the server has them, with what it said."""

    messages: list[RemoteMessage] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known yet."""
        return not (self.messages or self.missing or self.refused)


def ask_ahead(connection: Connection, uids: Sequence[int]) -> Iterator[RemoteMessage]:
    """Ask for these whole messages: the `answer` that `fetch_batch` then reads.

    In between the connection must not be used. Raises nothing.
    """
    try:
        return connection.store.request(uids)
    except MailError as error:
        return _failing(error)


def fetch_batch(
    connection: Connection,
    control: Control,
    uids: Sequence[int],
    *,
    headers_only: bool,
    answer: Iterator[RemoteMessage] | None = None,
) -> Fetched:
    """These messages of the selected folder. Raises MailError where the server is gone.

    An interruption is raised only where nothing was asked for yet, or where the run is
    lost: what has come in is handed back first, to be stored.
    """
    found = Fetched()
    waiting = [_Batch(sorted(uids), answer=answer)]
    while waiting:
        try:
            if waiting[-1].answer is None:
                control.check()
        except PassInterrupted as interrupted:
            if found.is_empty or interrupted.reason is Interruption.LOST:
                raise
            break
        waiting += _fetch_into(found, connection, waiting.pop(), headers_only)
    control.refuse_if_lost()
    _look_for_missing(found, connection)
    return found


@dataclass(frozen=True, slots=True)
class _Batch:
    """`is_narrowed`: what came before it in a batch that failed was tried alone.

    `answer` is there where it was asked for already.
    """

    uids: Sequence[int]
    is_narrowed: bool = False
    answer: Iterator[RemoteMessage] | None = None


def _fetch_into(
    found: Fetched, connection: Connection, batch: _Batch, headers_only: bool
) -> list[_Batch]:
    """Fetch a batch; what of it is to be tried again, the last first."""
    arrived: set[int] = set()
    try:
        answer = batch.answer or connection.store.fetch(batch.uids, headers_only=headers_only)
        for message in answer:
            arrived.add(message.uid)
            found.messages.append(message)
    except (*BROKEN_CONNECTION, CommandRefused) as error:
        rest = [uid for uid in batch.uids if uid not in arrived]
        if not isinstance(error, CommandRefused):
            connection.renew(error)
        if len(rest) == 1:
            found.refused[rest[0]] = error.message
            return []
        # Servers answer in order, so that the first that is missing is the likely one.
        is_likely = bool(arrived) or not batch.is_narrowed
        middle = 1 if is_likely else len(rest) // 2
        return [
            _Batch(part, is_narrowed=is_likely) for part in (rest[middle:], rest[:middle]) if part
        ]
    found.missing.extend(uid for uid in batch.uids if uid not in arrived)
    return []


def _look_for_missing(found: Fetched, connection: Connection) -> None:
    """Tell what is gone from what the server has and keeps to itself."""
    for uid in found.missing:
        if any(connection.store.flags(uid, uid)):
            found.refused[uid] = NOT_HANDED_OVER
    found.missing = [uid for uid in found.missing if uid not in found.refused]


def _failing(error: MailError) -> Iterator[RemoteMessage]:
    yield from ()
    raise error


class Pace:
    """How many octets to ask for at once, so that a batch takes about `seconds`.

    It starts small, and stays between two bounds, so that memory has one too.
    """

    def __init__(
        self,
        smallest: int = 64 * 1024,
        largest: int = 8 * 1024 * 1024,
        *,
        seconds: float = 0.7,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._smallest, self._largest, self._seconds = smallest, largest, seconds
        self._clock = clock
        self.octets = smallest * 4

    def start(self) -> float:
        """When a batch begins, for `note`."""
        return self._clock()

    def note(self, started: float, octets: int) -> None:
        """A batch of so many octets has come in."""
        rate = octets / max(self._clock() - started, 0.001)
        wanted = int(rate * self._seconds)
        self.octets = max(self._smallest, min(self._largest, wanted, self.octets * 2))

    def take(self, sizes: Sequence[int], most: int) -> int:
        """How many of these messages, in order, make the next batch; at least one."""
        total = 0
        for count, size in enumerate(sizes[:most]):
            total += size
            if count and total > self.octets:
                return count
        return min(len(sizes), most)

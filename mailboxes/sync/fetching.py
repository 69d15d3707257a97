"""Fetches batches of messages, around the ones that the server cannot hand over.

A message may make the server refuse the batch, answer nonsense, hang up or fall silent.
The batch is then halved until the guilty one is alone, which is skipped. Each failure of
the connection costs a new one; a server that fails too often, or that takes no new
connection, ends the pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mailboxes.sync.control import Control
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


class Connection:
    """The store of a pass, opened anew where it broke."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._left = MOST_RECONNECTIONS
        self._selected: FolderStatus | None = None

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
        if self._selected is not None:
            before, now = self._selected, self.store.select(self._selected.path)
            if now.uid_validity != before.uid_validity:
                raise ProtocolViolation("The folder was made anew while it was read.")


@dataclass(slots=True)
class Fetched:
    """`missing`: the server left them out; `refused`: with what it said."""

    messages: list[RemoteMessage] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


def fetch_batch(
    connection: Connection, control: Control, uids: Sequence[int], *, headers_only: bool
) -> Fetched:
    """These messages of the selected folder. Raises MailError where the server is gone."""
    found = Fetched()
    waiting = [list(uids)]
    while waiting:
        control.check()
        batch = waiting.pop()
        arrived: set[int] = set()
        failure: MailError | None = None
        try:
            for message in connection.store.fetch(batch, headers_only=headers_only):
                arrived.add(message.uid)
                found.messages.append(message)
        except (*BROKEN_CONNECTION, CommandRefused) as error:
            failure = error
        rest = [uid for uid in batch if uid not in arrived]
        if failure is None:
            found.missing.extend(rest)
            continue
        if not isinstance(failure, CommandRefused):
            connection.renew(failure)
        if len(rest) == 1:
            found.refused[rest[0]] = failure.message
        elif rest:
            middle = len(rest) // 2
            waiting += [rest[middle:], rest[:middle]]
    control.check()
    return found


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

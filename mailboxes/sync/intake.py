"""Takes in what is new in one folder: fetched from the server, recognised or stored.

    headers of the newest ──> a person sees a list
    their bodies
    all the rest as whole messages, newest first, each stored once and complete
       └─ but for those that may be known, or are too large: their headers tell

Whole messages are asked for a batch ahead: while one is read and the one before it stored,
the server sends the next, and no more than that one waits. What may be known is what
arrived at the same time with the same size as a stored message; its header is compared
before its body is fetched, so that nothing is downloaded twice.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mailboxes.models import BodyState
from mailboxes.search.filling import takes_vectors
from mailboxes.sync.batches import in_batches
from mailboxes.sync.control import Control
from mailboxes.sync.envelopes import Envelope, envelope_of
from mailboxes.sync.fetching import Connection, Fetched, Pace, ask_ahead, fetch_batch
from mailboxes.sync.folder_store import FolderStore
from mailboxes.sync.letters import Letter, read_body, read_header
from mailboxes.sync.message_store import LOOKUP, MessageStore, Pending
from mailboxes.sync.reading_apart import LetterReader
from mailhub.mail.errors import MailError
from mailhub.mail.stores.base import NO_ARRIVAL, RemoteMessage
from mailhub.mail.stores.imap_arguments import compress_set

STRETCH = 2000
ENVELOPES = 200
BODIES = 200
FIRST_PAGE = 50
# Of a folder's new messages so many show their headers before any body is fetched.
HEADERS_FIRST = 200
# So many messages are worth a process of its own that reads them.
WORTH_A_PROCESS = 600


# Called with a folder's id and the UIDs whose headers are stored, before any body is fetched.
HeadersTaken = Callable[[int, Sequence[int]], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is fetched at once, and what is not fetched at all; see `Intake`.

    `largest_kept` is in octets: of a larger message only the header is kept.
    """

    pace: Pace
    largest_kept: int
    headers_first: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """A batch that the server is preparing."""

    uids: Sequence[int]
    answer: Iterator[RemoteMessage]
    since: float


class Intake:
    """The new messages of one selected folder, for one pass."""

    def __init__(
        self,
        folder_id: int,
        connection: Connection,
        *,
        folders: FolderStore,
        messages: MessageStore,
        control: Control,
        limits: Limits,
        reader: LetterReader,
        headers_taken: HeadersTaken | None = None,
    ) -> None:
        self._folder_id, self._headers_taken = folder_id, headers_taken
        self._reader = reader
        self._connection, self._store = connection, connection.store
        self._folders, self._messages = folders, messages
        self._control, self._progress = control, control.progress
        self._pace, self._largest_kept = limits.pace, limits.largest_kept
        self._headers_left = limits.headers_first

    def take(self, uids: Sequence[int]) -> None:
        """Store these new messages of the folder, given newest first. Raises MailError.

        Bodies may be missing afterwards: see `fetch_bodies`.
        """
        shown, rest = uids[: self._headers_left], uids[self._headers_left :]
        self._headers_left -= len(shown)
        self._take_headers(shown[:FIRST_PAGE])
        self._take_headers(shown[FIRST_PAGE:])
        if shown and self._headers_taken is not None:
            self._headers_taken(self._folder_id, shown)
        if rest:
            self.fetch_bodies()
        for stretch in in_batches(rest, STRETCH):
            self._take_stretch(stretch)

    def take_arrivals(self, uids: Sequence[int]) -> None:
        """Store these few as whole messages, and no other. Raises MailError."""
        self._take_stretch(uids)
        if self._headers_taken is not None:
            self._headers_taken(self._folder_id, uids)

    def fetch_bodies(self) -> None:
        """Fetch the bodies of the folder that are missing, newest first."""
        passed_over: set[int] = set()
        while True:
            self._control.check()
            waiting = self._messages.pending(self._folder_id, BODIES + len(passed_over))
            waiting = [row for row in waiting if row.uid not in passed_over]
            if not waiting:
                return
            kept = [row for row in waiting if row.size <= self._largest_kept]
            too_large = [row.message_id for row in waiting if row.size > self._largest_kept]
            self._messages.leave_bodies(too_large, BodyState.TOO_LARGE)
            self._progress.count(len(too_large))
            if kept:
                count = self._pace.take([row.size for row in kept], BODIES)
                passed_over |= self._fetch_some_bodies(kept[:count])

    def _take_headers(self, uids: Sequence[int]) -> None:
        for some in in_batches(uids, ENVELOPES):
            self._control.check()
            fetched = fetch_batch(self._connection, self._control, some, headers_only=True)
            salt = self._messages.account_id.bytes
            envelopes = [
                envelope_of(message, read_header(message.content, salt))
                for message in fetched.messages
            ]
            self._forget_predecessors(envelopes)
            placing = self._messages.place(self._folder_id, envelopes)
            self._note_fetched(fetched)
            known = sum(row.body_state != BodyState.PENDING for row in placing.attached)
            self._progress.count(known)
            sizes = {message.uid: message.size for message in fetched.messages}
            self._take_whole(deque(placing.uncertain), sizes)

    def _take_stretch(self, uids: Sequence[int]) -> None:
        self._control.check()
        measures = {measure.uid: measure for measure in self._store.measures(uids)}
        alike = self._messages.possibly_known(self._folder_id, measures.values())
        gone = self._forget_gone(sorted(alike.here))
        known = alike.elsewhere.union(*(alike.here[uid] for uid in gone))
        sizes = {
            measure.uid: measure.size
            for measure in measures.values()
            if measure.uid not in known
            and measure.received_at != NO_ARRIVAL
            and measure.size <= self._largest_kept
        }
        self._take_headers([uid for uid in uids if uid not in sizes])
        self._take_whole(deque(uid for uid in uids if uid in sizes), sizes)

    def _take_whole(self, waiting: deque[int], sizes: dict[int, int]) -> None:
        """Whole messages; known ones are told by their content."""
        if len(waiting) >= WORTH_A_PROCESS and (os.cpu_count() or 1) > 1:
            self._reader.go_apart(takes_vectors)
        while waiting:
            self._control.check()
            self._take_in_turn(waiting, sizes)

    def _take_in_turn(self, waiting: deque[int], sizes: dict[int, int]) -> None:
        """Until none waits, or the pass shall leave off; what was asked for is stored."""
        asked = self._ask(waiting, sizes)
        in_hand: Fetched | None = None
        held: list[Envelope] = []
        while asked is not None:
            try:
                fetched = fetch_batch(
                    self._connection,
                    self._control,
                    asked.uids,
                    headers_only=False,
                    answer=asked.answer,
                )
            except MailError:
                # A server that goes away after each batch must not have it sent for ever.
                if in_hand is not None:
                    self._store_whole(in_hand, self._reader.result())
                raise
            octets = sum(len(message.whole) for message in fetched.messages)
            self._pace.note(asked.since, octets)
            # Between two batches alone may the server be asked anything else.
            self._place_whole(held)
            asked = self._ask(waiting, sizes)
            # While a batch is stored, the next is read.
            letters = self._reader.result() if in_hand is not None else []
            self._reader.submit([message.content for message in fetched.messages])
            held = self._store_whole(in_hand, letters) if in_hand is not None else []
            in_hand = fetched
        if in_hand is not None:
            self._place_whole(held)
            held = self._store_whole(in_hand, self._reader.result())
        self._place_whole(held)

    def _ask(self, waiting: deque[int], sizes: dict[int, int]) -> _Asked | None:
        """Ask for the next batch, unless there is none or the pass shall leave off."""
        if not waiting or self._control.interruption() is not None:
            return None
        most = self._messages.placed_at_once
        count = self._pace.take([sizes[uid] for uid in islice(waiting, most)], most)
        uids = sorted(waiting.popleft() for _ in range(count))
        return _Asked(uids, ask_ahead(self._connection, uids), self._pace.start())

    def _store_whole(self, fetched: Fetched, letters: Sequence[Letter]) -> list[Envelope]:
        """Store what came; what the server has to be asked about first is handed back."""
        read = list(zip(fetched.messages, letters, strict=True))
        self._messages.raw.put(
            {letter.body.raw_digest: message.content for message, letter in read if letter.body}
        )
        envelopes = [envelope_of(message, letter) for message, letter in read]
        self._note_fetched(fetched)
        if self._messages.uids_alike(self._folder_id, envelopes):
            return envelopes
        self._place(envelopes)
        return []

    def _place_whole(self, envelopes: list[Envelope]) -> None:
        if envelopes:
            self._forget_predecessors(envelopes)
            self._place(envelopes)

    def _place(self, envelopes: Sequence[Envelope]) -> None:
        self._messages.place(self._folder_id, envelopes)
        unread = sum(not envelope.flags.is_seen for envelope in envelopes)
        self._folders.count_in(self._folder_id, len(envelopes), unread)
        self._progress.count(len(envelopes))

    def _forget_predecessors(self, envelopes: Sequence[Envelope]) -> None:
        """One that left the folder and came back keeps its id, though nobody told that it left."""
        self._forget_gone(self._messages.uids_alike(self._folder_id, envelopes))

    def _forget_gone(self, uids: Sequence[int]) -> set[int]:
        """Those of these UIDs that the server has no more, and nobody told of."""
        gone: set[int] = set()
        for some in in_batches(uids, LOOKUP):
            gone |= set(some) - set(self._store.uids(f"UID {compress_set(some)}"))
        self._messages.forget(self._folder_id, sorted(gone))
        return gone

    def _note_fetched(self, fetched: Fetched) -> None:
        """Record the UIDs that the server has and does not hand over."""
        if fetched.refused:
            self._messages.skip(self._folder_id, fetched.refused)
            self._progress.messages_skipped += len(fetched.refused)
        self._messages.forget_skipped(
            self._folder_id, [message.uid for message in fetched.messages]
        )

    def _fetch_some_bodies(self, rows: Sequence[Pending]) -> set[int]:
        """Store what comes; the UIDs that this pass shall not ask for again."""
        started = self._pace.start()
        fetched = fetch_batch(
            self._connection, self._control, [row.uid for row in rows], headers_only=False
        )
        self._pace.note(started, sum(len(message.whole) for message in fetched.messages))
        ids = {row.uid: row.message_id for row in rows}
        digests = self._messages.raw.put_many(row.content for row in fetched.messages)
        bodies = [
            (ids[message.uid], read_body(message.content, digest))
            for message, digest in zip(fetched.messages, digests, strict=True)
        ]
        self._messages.store_bodies(bodies)
        self._progress.count(len(bodies))
        self._note_fetched(fetched)
        self._messages.forget(self._folder_id, fetched.missing)
        refused = set(fetched.refused)
        given_up = self._messages.left_alone(self._folder_id) & refused
        self._messages.leave_bodies([ids[uid] for uid in given_up], BodyState.UNAVAILABLE)
        return refused

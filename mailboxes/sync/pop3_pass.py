"""Carries out a pass over a POP3 account: a Maildrop on one side, the database on the other.

    list       the server's unique-ids; new ones get a number
    fetch      what is not stored, newest first, each message once
    delete     on the server, where the account asks for it, what is kept here

What the server has no more stays here: another mail program may have emptied the maildrop.
A message that breaks the session is tried again last, then recorded and left out.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from uuid import UUID

from django.utils import timezone

from mailboxes.models import BodyState, SkippedMessage
from mailboxes.sync.batches import in_batches
from mailboxes.sync.control import Control, PassInterrupted
from mailboxes.sync.engine import INBOX, LARGEST_KEPT, Order
from mailboxes.sync.envelopes import Envelope, envelope_of
from mailboxes.sync.fetching import BROKEN_CONNECTION, MOST_RECONNECTIONS, Pace
from mailboxes.sync.folder_store import FolderStore, StoredFolder
from mailboxes.sync.letters import digest_of, read_body, read_header, read_letter
from mailboxes.sync.message_store import MessageStore
from mailboxes.sync.plan import Checkpoint
from mailboxes.sync.pop3_store import OUR_NUMBERS, Pop3Store, Present
from mailboxes.sync.sweeping import is_sweep_due, sweep_raw_messages
from mailhub.logs import get_logger
from mailhub.mail.errors import CommandRefused, FolderMissing, MailError
from mailhub.mail.octets import whole_of
from mailhub.mail.parsing.header_block import split_message
from mailhub.mail.parsing.structured_fields import read_date
from mailhub.mail.stores.base import RemoteMessage
from mailhub.mail.stores.maildrop import Maildrop

log = get_logger(__name__)

_AT_ONCE = 200
_MOST_HELD = 16 * 1024 * 1024
# Clocks differ; what claims to come from later than this arrived when it was fetched.
_FAST_CLOCK = timedelta(hours=1)
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_LONGEST_HEADER = 64 * 1024


@dataclass(slots=True)
class _Taken:
    """What came of asking for some messages."""

    contents: dict[int, bytes] = field(default_factory=dict, repr=False)
    refused: dict[int, str] = field(default_factory=dict)
    octets: int = 0
    done: set[int] = field(default_factory=set)
    broken_by: int | None = None
    failure: MailError | None = None
    interrupted: PassInterrupted | None = None


class Pop3Pass:
    """One pass, or one turn of it: what an earlier turn has stored is not fetched again.

    `delete_after` is how long after it was first seen a message is deleted on the server;
    None is never.
    """

    def __init__(
        self,
        maildrop: Maildrop,
        account_id: UUID,
        order: Order,
        control: Control,
        *,
        delete_after: timedelta | None = None,
        pace: Pace | None = None,
        largest_kept: int = LARGEST_KEPT,
    ) -> None:
        self._maildrop, self._order = maildrop, order
        self._control, self._progress = control, control.progress
        self._folders, self._messages = FolderStore(account_id), MessageStore(account_id)
        self._delete_after, self._largest_kept = delete_after, largest_kept
        self._pace = pace or Pace()
        self._reconnections = MOST_RECONNECTIONS
        # What the messages are called in this session: unique-id → numbers, oldest first.
        self._numbers: dict[str, list[int]] = {}
        self._present = Present()

    def run(self) -> None:
        """Raises PassInterrupted, or the MailError that ends it."""
        folder = self._open_folder()
        self._rows = Pop3Store(folder.id)
        self._progress.folders_total = 1
        self._progress.current_folder = folder.path
        self._look()
        self._control.check()
        self._present = self._rows.note(self._numbers)
        self._fetch(folder)
        self._folders.reach(folder.id, Checkpoint(OUR_NUMBERS))
        self._rows.settle_stale()
        self._delete_ripe()
        self._rows.forget_old()
        self._folders.finish(folder.id, self._order.run_id)
        self._folders.recount(folder.id)
        self._messages.remove_orphans(self._order.began)
        if self._order.is_full or is_sweep_due(self._messages.account_id, self._order.run_id):
            sweep_raw_messages(self._messages.account_id, self._control)
        self._progress.folders_done, self._progress.current_folder = 1, ""
        self._progress.messages_total = self._progress.messages_done

    def _open_folder(self) -> StoredFolder:
        (folder,) = self._folders.keep([INBOX])
        for name in self._order.folders:
            if not folder.is_called(name):
                raise FolderMissing(f"The account has no folder {name}.")
        if folder.checkpoint.uid_validity != OUR_NUMBERS:
            self._messages.make_stale(folder.id)
            Pop3Store(folder.id).forget_numbers()
            self._folders.restart(folder.id, OUR_NUMBERS)
        if self._order.is_full and folder.checked_by != self._order.run_id:
            self._messages.want_bodies_again()
        return folder

    def _look(self) -> None:
        self._numbers = {}
        for row in self._maildrop.listing():
            self._numbers.setdefault(row.unique_id, []).append(row.number)

    def _number(self, uid: int) -> int:
        """A message's number in this session, 0 where the server has it no more."""
        return self._numbers.get(self._present.names[uid], [0])[0]

    def _fetch(self, folder: StoredFolder) -> None:
        wanted = self._present.names.keys() - self._present.discarded - self._rows.stored()
        wanted -= self._messages.left_alone(folder.id)
        self._forget_failures(folder)
        if not wanted:
            return
        self._progress.messages_total = self._progress.messages_done + len(wanted)
        sizes = self._maildrop.sizes()
        newest_first = sorted(wanted, key=self._number, reverse=True)
        of = {uid: sizes.get(self._number(uid), 0) for uid in newest_first}
        self._fetch_all(
            folder, deque(uid for uid in newest_first if of[uid] <= self._largest_kept), of
        )
        for uid in (uid for uid in newest_first if of[uid] > self._largest_kept):
            self._control.check()
            self._fetch_header(folder, uid, of[uid])

    def _forget_failures(self, folder: StoredFolder) -> None:
        """Of messages that the server has no more."""
        rows = SkippedMessage.objects.filter(folder_id=folder.id).values_list("uid", flat=True)
        self._messages.forget_skipped(
            folder.id, [uid for uid in rows if uid not in self._present.names]
        )

    def _fetch_all(self, folder: StoredFolder, waiting: deque[int], sizes: dict[int, int]) -> None:
        suspects: set[int] = set()
        while waiting:
            self._control.check()
            if waiting[0] in suspects:
                # In a session of its own, it alone can be what breaks it.
                self._connect_anew()
                count = 1
            else:
                next_ones = takewhile(lambda uid: uid not in suspects, islice(waiting, _AT_ONCE))
                count = self._pace.take([sizes[uid] for uid in next_ones], _AT_ONCE)
            batch = [waiting.popleft() for _ in range(count)]
            started = self._pace.start()
            taken = self._take(folder, batch)
            self._pace.note(started, taken.octets)
            self._store(folder, taken)
            if taken.interrupted is not None:
                raise taken.interrupted
            guilty = taken.broken_by
            taken.done.add(guilty or 0)
            waiting.extendleft(uid for uid in reversed(batch) if uid not in taken.done)
            if taken.failure is not None:
                if guilty in suspects:
                    self._skip(folder, {guilty: taken.failure.message})
                elif guilty is not None:
                    suspects.add(guilty)
                    waiting.append(guilty)
                self._recover(folder, guilty, taken.failure)

    def _take(self, folder: StoredFolder, uids: Sequence[int]) -> _Taken:
        taken, there = _Taken(), [uid for uid in uids if self._number(uid)]
        coming = iter(there)
        # Gone since it was listed: the next pass sees it so.
        taken.refused = {uid: "" for uid in uids if uid not in set(there)}
        try:
            for row in self._maildrop.retrieve(
                [self._number(uid) for uid in there], largest=self._largest_kept
            ):
                uid = next(coming)
                if row.content is None:
                    taken.refused[uid] = row.refusal
                else:
                    taken.contents[uid] = row.content
                    taken.octets += len(whole_of(row.content))
                if sum(map(len, taken.contents.values())) > _MOST_HELD:
                    # The server said that they were smaller.
                    self._store(folder, taken)
                self._control.check()
        except PassInterrupted as interrupted:
            taken.interrupted = interrupted
        except BROKEN_CONNECTION as error:
            taken.failure, taken.broken_by = error, next(coming, None)
        return taken

    def _recover(self, folder: StoredFolder, guilty: int | None, error: MailError) -> None:
        """Connect anew after `error`; raises it, or what the new attempt met."""
        blame = {guilty: error.message} if guilty is not None else {}
        if self._reconnections == 0:
            self._skip(folder, blame)
            raise error
        log.info("connecting anew", reason=error.message)
        try:
            self._connect_anew()
        except MailError:
            # It may be what breaks every pass: the next ones must get beyond it.
            self._skip(folder, blame)
            raise

    def _connect_anew(self) -> None:
        """The messages are numbered anew then."""
        if self._reconnections > 0:
            self._reconnections -= 1
            self._maildrop.close()
            self._maildrop.open()
            self._look()

    def _store(self, folder: StoredFolder, taken: _Taken) -> None:
        """What has come in is held no longer."""
        self._control.refuse_if_lost()
        self._messages.raw.put_many(taken.contents.values())
        digests = {uid: digest_of(content) for uid, content in taken.contents.items()}
        known = self._rows.waiting(list(digests))
        fresh = {uid: digest for uid, digest in digests.items() if uid not in known}
        adopted = self._rows.adopt(fresh, self._present.names.keys())
        new = [uid for uid in fresh if uid not in adopted]
        self._messages.place(folder.id, [self._envelope(uid, taken.contents[uid]) for uid in new])
        self._messages.store_bodies(
            [(pk, read_body(taken.contents[uid], digests[uid])) for uid, pk in known.items()]
        )
        self._messages.forget_skipped(folder.id, list(digests))
        self._skip(folder, {uid: words for uid, words in taken.refused.items() if words})
        self._progress.count(len(digests))
        taken.done |= digests.keys() | taken.refused.keys()
        taken.contents, taken.refused = {}, {}

    def _envelope(self, uid: int, content: bytes) -> Envelope:
        letter = read_letter(content, self._messages.account_id.bytes)
        return envelope_of(_message(uid, content, size=len(whole_of(content))), letter)

    def _fetch_header(self, folder: StoredFolder, uid: int, size: int) -> None:
        """All that is kept of a message that is too large."""
        if not self._number(uid):
            return
        try:
            header = self._maildrop.header(self._number(uid))
        except CommandRefused as error:
            self._skip(folder, {uid: error.message})
            return
        self._control.refuse_if_lost()
        if not self._rows.waiting([uid]):
            letter = read_header(header, self._messages.account_id.bytes)
            message = _message(uid, header, size=size)
            self._messages.place(folder.id, [envelope_of(message, letter)])
        known = list(self._rows.waiting([uid]).values())
        self._messages.leave_bodies(known, BodyState.TOO_LARGE)
        self._progress.count(1)

    def _skip(self, folder: StoredFolder, reasons: dict[int, str]) -> None:
        if reasons:
            self._messages.skip(folder.id, reasons)
            self._progress.messages_skipped += len(reasons)

    def _delete_ripe(self) -> None:
        if self._delete_after is None:
            return
        ripe = self._rows.ripe(timezone.now() - self._delete_after)
        numbers: list[int] = []
        for uid, digest in ripe.items():
            self._control.check()
            if uid in self._present.names and self._is_kept(digest):
                numbers += self._numbers.get(self._present.names[uid], [])
        if not numbers:
            return
        # What the server is told to forget must not be lost here by a power cut.
        os.sync()
        self._control.refuse_if_lost()
        for some in in_batches(numbers, _AT_ONCE):
            self._control.check()
            self._maildrop.delete(some)
        self._maildrop.finish()
        log.info("deleted on the server", messages=len(numbers))

    def _is_kept(self, digest: str) -> bool:
        return not digest or self._messages.raw.find(digest) is not None


def arrival_of(content: bytes, now: datetime) -> datetime:
    """When the last server on the way took a message in, else when it was written, else now."""
    fields, _ = split_message(content[:_LONGEST_HEADER])
    values: dict[str, str] = {}
    for name, value in fields:
        values.setdefault(name.lower(), value.decode("ascii", "replace"))
    told = (values.get("received", "").rpartition(";")[2], values.get("date", ""))
    dates = [date for date in map(read_date, told) if date is not None]
    return next((date for date in dates if _EARLIEST < date < now + _FAST_CLOCK), now)


def _message(uid: int, content: bytes, *, size: int) -> RemoteMessage:
    return RemoteMessage(uid, frozenset(), arrival_of(content, timezone.now()), size, content)

"""Brings the copy of one folder up to date.

select ──> follow    what the server says has changed since the checkpoint (CONDSTORE),
       │             and which UIDs vanished (QRESYNC); where the counts then disagree,
       │             which UIDs there are
       ├─> compare   without such a checkpoint: every UID and its flags, in stretches
       └─> bodies    what is missing, newest first, in batches of about a second
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace

from mailboxes.models import BodyState
from mailboxes.sync.batches import in_batches
from mailboxes.sync.control import Control
from mailboxes.sync.envelopes import Envelope, read_body, read_envelope, read_message
from mailboxes.sync.fetching import Connection, Fetched, Pace, fetch_batch
from mailboxes.sync.folder_store import FolderStore, StoredFolder
from mailboxes.sync.message_store import MessageStore, Pending
from mailboxes.sync.plan import (
    LARGEST_UID,
    Checkpoint,
    Differences,
    FolderAction,
    UidRange,
    choose_action,
    compare,
    compare_uids,
    follow,
    ranges_newest_first,
)
from mailhub.logs import get_logger
from mailhub.mail.errors import CommandRefused
from mailhub.mail.stores.base import FolderStatus, RemoteMessage

log = get_logger(__name__)

STRETCH = 2000
ENVELOPES = 200
BODIES = 200
# In a folder of no more messages all that changed is asked for at once.
FOLLOWED_AT_ONCE = 20_000
_NOT_HANDED_OVER = "The server lists this message but does not hand it over."


class FolderPass:
    """What a pass does in its folders, one after the other."""

    def __init__(
        self,
        connection: Connection,
        folders: FolderStore,
        messages: MessageStore,
        control: Control,
        *,
        pace: Pace,
        largest_kept: int,
        followed_at_once: int,
    ) -> None:
        self._connection, self._store = connection, connection.store
        self._folders, self._messages = folders, messages
        self._control, self._progress = control, control.progress
        self._pace, self._largest_kept = pace, largest_kept
        self._followed_at_once = followed_at_once

    def run(
        self, folder: StoredFolder, status: FolderStatus, *, compare_anyway: bool = False
    ) -> bool:
        """Whether there was anything to do. `status` is of before. Raises MailError."""
        action = choose_action(
            status,
            folder.checkpoint,
            lacks_bodies=self._messages.count_pending(folder.id) > 0,
            compare_anyway=compare_anyway or self._messages.has_skipped(folder.id),
        )
        if action is FolderAction.NOTHING:
            return False
        reached = self._select(folder, status)
        if reached.uid_validity != folder.checkpoint.uid_validity:
            action = FolderAction.COMPARE
        if action is not FolderAction.FETCH_BODIES:
            if action is not FolderAction.FOLLOW or not self._follow(folder):
                self._compare(folder)
            # A batch that was cut short by an interruption must not count as complete.
            self._control.check()
            self._messages.forget_stale(folder.id)
            self._folders.reach(folder.id, reached)
            self._folders.recount(folder.id)
        self._fetch_bodies(folder)
        return True

    def _select(self, folder: StoredFolder, status: FolderStatus) -> Checkpoint:
        """Select it; the checkpoint that is reached when all that it holds now is stored.

        That is its state before it was selected: what happens from then on differs from it.
        """
        validity = self._connection.select(folder.path).uid_validity or status.uid_validity
        known = folder.checkpoint.uid_validity
        if known and validity != known:
            log.info("folder is read anew", folder=folder.path)
            self._messages.make_stale(folder.id)
        if validity != known:
            self._folders.restart(folder.id, validity)
        return replace(Checkpoint.of(status), uid_validity=validity)

    def _follow(self, folder: StoredFolder) -> bool:
        """False where the server does not tell what changed after all."""
        left_alone = self._messages.left_alone(folder.id)
        since = folder.checkpoint.highest_modseq
        try:
            for stretch in self._changed_stretches(since):
                self._control.check()
                changes = self._store.changes(since, stretch.first, stretch.last)
                told = [row.uid for row in changes.flags]
                found = follow(
                    changes,
                    self._messages.flags_of(folder.id, told),
                    self._messages.uids_within(folder.id, changes.vanished or ()),
                )
                self._mend(folder, found, left_alone)
        except CommandRefused as error:
            log.info("changes are not told", folder=folder.path, reason=error.message)
            return False
        if self._messages.count_known(folder.id) != self._connection.exists:
            self._control.check()
            self._agree_on_uids(folder, left_alone)
        return True

    def _changed_stretches(self, since: int) -> Iterator[UidRange]:
        if self._connection.exists <= self._followed_at_once:
            return iter((UidRange(1, LARGEST_UID, ()),))
        return ranges_newest_first(self._store.uids(f"MODSEQ {since + 1}"), STRETCH)

    def _agree_on_uids(self, folder: StoredFolder, left_alone: Set[int]) -> None:
        """For expunges that a server without QRESYNC does not tell of."""
        present = self._store.uids()
        self._messages.forget(folder.id, sorted(left_alone - set(present)))
        for stretch in ranges_newest_first(present, STRETCH):
            self._control.check()
            stored = self._messages.uids_within(folder.id, [(stretch.first, stretch.last)])
            self._mend(folder, compare_uids(stretch, stored), left_alone)

    def _compare(self, folder: StoredFolder) -> None:
        left_alone = self._messages.left_alone(folder.id)
        for stretch in ranges_newest_first(self._store.uids(), STRETCH):
            self._control.check()
            stored = self._messages.flags_between(folder.id, stretch.first, stretch.last)
            flags = None
            if stored and stretch.uids:
                flags = list(self._store.flags(stretch.first, stretch.last))
            self._mend(folder, compare(stretch, stored, flags), left_alone)

    def _mend(self, folder: StoredFolder, found: Differences, left_alone: Set[int]) -> None:
        # First what went, so that what comes back to the same folder keeps its id.
        self._messages.forget(folder.id, found.vanished)
        self._messages.change_flags(folder.id, found.changed)
        new = [uid for uid in found.new if uid not in left_alone]
        for uids in in_batches(new, ENVELOPES):
            self._control.check()
            self._fetch_envelopes(folder, uids)

    def _fetch_envelopes(self, folder: StoredFolder, uids: Sequence[int]) -> None:
        fetched = fetch_batch(self._connection, self._control, uids, headers_only=True)
        placing = self._messages.place(folder.id, _read_all(fetched, read_envelope))
        self._note_fetched(folder, fetched)
        self._progress.count(sum(row.body_state != BodyState.PENDING for row in placing.attached))
        sizes = {message.uid: message.size for message in fetched.messages}
        self._fetch_whole(folder, placing.uncertain, sizes)

    def _fetch_whole(
        self, folder: StoredFolder, uids: Sequence[int], sizes: dict[int, int]
    ) -> None:
        """Messages that only their content tells from one that is known."""
        while uids:
            count = self._pace.take([sizes[uid] for uid in uids], BODIES)
            fetched = fetch_batch(self._connection, self._control, uids[:count], headers_only=False)
            self._messages.raw.put_many(message.content for message in fetched.messages)
            envelopes = _read_all(fetched, read_message)
            self._messages.place(folder.id, envelopes)
            self._note_fetched(folder, fetched)
            self._progress.count(len(envelopes))
            uids = uids[count:]

    def _note_fetched(self, folder: StoredFolder, fetched: Fetched) -> set[int]:
        """Record the UIDs that the server has and does not hand over, and return them."""
        reasons = dict(fetched.refused)
        for uid in fetched.missing:
            if any(self._store.flags(uid, uid)):
                reasons[uid] = _NOT_HANDED_OVER
        if reasons:
            self._messages.skip(folder.id, reasons)
            self._progress.messages_skipped += len(reasons)
        self._messages.forget_skipped(folder.id, [message.uid for message in fetched.messages])
        return set(reasons)

    def _fetch_bodies(self, folder: StoredFolder) -> None:
        passed_over: set[int] = set()
        while True:
            self._control.check()
            waiting = self._messages.pending(folder.id, BODIES + len(passed_over))
            waiting = [row for row in waiting if row.uid not in passed_over]
            if not waiting:
                return
            kept = [row for row in waiting if row.size <= self._largest_kept]
            too_large = [row.message_id for row in waiting if row.size > self._largest_kept]
            self._messages.leave_bodies(too_large, BodyState.TOO_LARGE)
            self._progress.count(len(too_large))
            if kept:
                count = self._pace.take([row.size for row in kept], BODIES)
                passed_over |= self._fetch_some_bodies(folder, kept[:count])

    def _fetch_some_bodies(self, folder: StoredFolder, rows: Sequence[Pending]) -> set[int]:
        """Store what comes; the UIDs that this pass shall not ask for again."""
        started = self._pace.start()
        fetched = fetch_batch(
            self._connection, self._control, [row.uid for row in rows], headers_only=False
        )
        self._pace.note(started, sum(len(message.content) for message in fetched.messages))
        ids = {row.uid: row.message_id for row in rows}
        with self._messages.raw.putting([row.content for row in fetched.messages]) as digests:
            bodies = [
                (ids[message.uid], read_body(message.content, digest))
                for message, digest in zip(fetched.messages, digests, strict=True)
            ]
        self._messages.store_bodies(bodies)
        self._progress.count(len(bodies))
        refused = self._note_fetched(folder, fetched)
        self._messages.forget(folder.id, sorted(set(fetched.missing) - refused))
        given_up = self._messages.left_alone(folder.id) & refused
        self._messages.leave_bodies([ids[uid] for uid in given_up], BodyState.UNAVAILABLE)
        return refused


def _read_all(fetched: Fetched, read: Callable[[RemoteMessage], Envelope]) -> list[Envelope]:
    return [read(message) for message in fetched.messages]

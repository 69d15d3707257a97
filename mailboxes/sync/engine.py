"""Carries out a pass over an account: a Store on one side, the database on the other.

    for each folder, inbox first
        compare   stretch by stretch from the newest UID: what vanished, what changed,
                  the headers of what is new
        bodies    what is missing, newest first, in batches of about a second

A folder that cannot be read is recorded and left out. An error that ends the pass (no
connection, no login) is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from mailboxes.models import BodyState
from mailboxes.sync.batches import in_batches
from mailboxes.sync.control import Control
from mailboxes.sync.envelopes import Envelope, read_body, read_envelope, read_message
from mailboxes.sync.fetching import BROKEN_CONNECTION, Connection, Fetched, Pace, fetch_batch
from mailboxes.sync.folder_store import FolderStore, StoredFolder
from mailboxes.sync.message_store import MessageStore, Pending
from mailboxes.sync.plan import (
    Checkpoint,
    FolderAction,
    UidRange,
    choose_action,
    compare,
    ranges_newest_first,
)
from mailhub.logs import get_logger
from mailhub.mail.errors import CommandRefused, FolderMissing, MailError, ProtocolViolation
from mailhub.mail.stores.base import FolderStatus, RemoteMessage, Store

log = get_logger(__name__)

STRETCH = 2000
ENVELOPES = 200
BODIES = 200
LARGEST_KEPT = 50 * 1024 * 1024

# What says that a folder cannot be read, and nothing of the others.
_ABOUT_THE_FOLDER = (CommandRefused, FolderMissing, *BROKEN_CONNECTION)
_NOT_HANDED_OVER = "The server lists this message but does not hand it over."


@dataclass(frozen=True, slots=True)
class Order:
    """What a pass shall do. `folders` are ids, paths or roles; empty means all.

    `began` is when the run did.
    """

    run_id: UUID
    began: datetime
    is_full: bool = False
    folders: Collection[str] = ()


class Pass:
    """One pass, or one turn of it: what an earlier turn has done is not done again."""

    def __init__(
        self,
        store: Store,
        account_id: UUID,
        order: Order,
        control: Control,
        *,
        pace: Pace | None = None,
        largest_kept: int = LARGEST_KEPT,
    ) -> None:
        self._store, self._order, self._control = store, order, control
        self._progress = control.progress
        self._connection = Connection(store)
        self._folders = FolderStore(account_id)
        self._messages = MessageStore(account_id)
        self._pace = pace or Pace()
        self._largest_kept = largest_kept

    def run(self) -> None:
        """Raises PassInterrupted, or the MailError that ends it."""
        listed = self._list_folders()
        chosen = [folder for folder in listed if self._is_wanted(folder)]
        for name in self._order.folders:
            if not any(folder.is_called(name) for folder in listed):
                raise FolderMissing(f"The account has no folder {name}.")
        self._progress.folders_total = len(chosen)
        states = self._look_at(chosen)
        for folder in chosen:
            self._control.check()
            self._progress.current_folder = folder.path
            if folder.checked_by != self._order.run_id and folder.id in states:
                self._guard_folder(folder, states[folder.id])
            self._progress.folders_done += 1
        self._progress.current_folder = ""
        self._progress.messages_total = self._progress.messages_done
        if not self._order.folders:
            self._tidy(listed)

    def _list_folders(self) -> list[StoredFolder]:
        remote = self._store.folders()
        if not remote:
            # Taken at its word, it would mean that all mail is gone.
            raise ProtocolViolation("The server lists no folder at all.")
        folders = self._folders.keep(remote)
        if self._order.is_full and not any(
            folder.checked_by == self._order.run_id for folder in folders
        ):
            self._folders.unpark()
            self._messages.want_bodies_again()
            folders = self._folders.keep(remote)
        return folders

    def _is_wanted(self, folder: StoredFolder) -> bool:
        if not folder.is_selectable or folder.is_parked:
            return False
        return not self._order.folders or any(map(folder.is_called, self._order.folders))

    def _look_at(self, folders: Sequence[StoredFolder]) -> dict[int, FolderStatus]:
        """STATUS of each, and how many messages are to be expected."""
        states: dict[int, FolderStatus] = {}
        for folder in folders:
            self._control.check()
            if folder.checked_by == self._order.run_id:
                continue
            try:
                states[folder.id] = self._store.status(folder.path)
            except _ABOUT_THE_FOLDER as error:
                self._record_failure(folder, error)
                continue
            fresh = max(0, states[folder.id].messages - folder.total)
            self._progress.messages_total += fresh + self._messages.count_pending(folder.id)
        return states

    def _guard_folder(self, folder: StoredFolder, status: FolderStatus) -> None:
        try:
            try:
                is_changed = self._pass_folder(folder, status)
            except BROKEN_CONNECTION as error:
                self._connection.leave_folder()
                self._connection.renew(error)
                is_changed = self._pass_folder(self._folders.reread(folder), status)
        except _ABOUT_THE_FOLDER as error:
            self._record_failure(folder, error)
            return
        self._folders.finish(folder.id, self._order.run_id)
        if is_changed:
            self._folders.recount(folder.id)

    def _record_failure(self, folder: StoredFolder, error: MailError) -> None:
        log.warning("folder left out", folder=folder.path, reason=error.message)
        if isinstance(error, BROKEN_CONNECTION):
            self._connection.leave_folder()
            self._connection.renew(error)
        self._folders.fail(folder.id, error.message, self._order.run_id)

    def _pass_folder(self, folder: StoredFolder, status: FolderStatus) -> bool:
        """Whether there was anything to do."""
        action = choose_action(
            status,
            folder.checkpoint,
            lacks_bodies=self._messages.count_pending(folder.id) > 0,
            compare_anyway=self._order.is_full or self._messages.has_skipped(folder.id),
        )
        if action is FolderAction.NOTHING:
            return False
        reached = self._select(folder, status)
        if action is not FolderAction.FETCH_BODIES or reached != folder.checkpoint:
            self._compare(folder, reached)
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

    def _compare(self, folder: StoredFolder, reached: Checkpoint) -> None:
        left_alone = self._messages.left_alone(folder.id)
        for stretch in ranges_newest_first(self._store.uids(), STRETCH):
            self._control.check()
            self._compare_stretch(folder, stretch, left_alone)
        # A batch that was cut short by an interruption must not count as complete.
        self._control.check()
        self._messages.forget_stale(folder.id)
        self._folders.reach(folder.id, reached)

    def _compare_stretch(
        self, folder: StoredFolder, stretch: UidRange, left_alone: Collection[int]
    ) -> None:
        stored = self._messages.flags_between(folder.id, stretch.first, stretch.last)
        flags = None
        if stored and stretch.uids:
            flags = list(self._store.flags(stretch.first, stretch.last))
        found = compare(stretch, stored, flags)
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

    def _tidy(self, listed: Sequence[StoredFolder]) -> None:
        """What a pass over the whole account may conclude from what it has not seen."""
        for folder in self._folders.not_listed(listed):
            self._control.check()
            self._messages.forget_between(folder.id, None, None)
            self._folders.remove(folder.id)
        if all(self._was_read(folder) for folder in listed):
            self._messages.remove_orphans(self._order.began)

    def _was_read(self, folder: StoredFolder) -> bool:
        return not folder.is_selectable or self._folders.is_sound(folder.id)


def _read_all(fetched: Fetched, read: Callable[[RemoteMessage], Envelope]) -> list[Envelope]:
    return [read(message) for message in fetched.messages]

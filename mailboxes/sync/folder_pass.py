"""Brings the copy of one folder up to date.

select ──> follow    what the server says has changed since the checkpoint (CONDSTORE),
       │             and which UIDs vanished (QRESYNC); where the counts then disagree,
       │             which UIDs there are
       ├─> compare   without such a checkpoint: every UID and its flags, in stretches
       └─> intake    what is new, newest first; then bodies that are missing
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from mailboxes.sync.control import Control
from mailboxes.sync.fetching import Connection
from mailboxes.sync.folder_store import FolderStore, StoredFolder
from mailboxes.sync.intake import STRETCH, HeadersTaken, Intake, Limits
from mailboxes.sync.message_store import MessageStore
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
from mailboxes.sync.reading_apart import LetterReader
from mailhub.logs import get_logger
from mailhub.mail.errors import CommandRefused
from mailhub.mail.stores.base import FolderStatus

log = get_logger(__name__)

# In a folder of no more messages all that changed is asked for at once.
FOLLOWED_AT_ONCE = 20_000
# So many that came are stored beside a pass that is under way.
MOST_ARRIVALS = 200


class FolderPass:
    """What a pass does in its folders, one after the other."""

    def __init__(
        self,
        connection: Connection,
        folders: FolderStore,
        messages: MessageStore,
        control: Control,
        *,
        limits: Limits,
        reader: LetterReader,
        followed_at_once: int,
        headers_taken: HeadersTaken | None = None,
    ) -> None:
        self._connection, self._store = connection, connection.store
        self._folders, self._messages = folders, messages
        self._control, self._limits, self._reader = control, limits, reader
        self._followed_at_once, self._headers_taken = followed_at_once, headers_taken

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
        self._intake = self._intake_of(folder)
        if reached.uid_validity != folder.checkpoint.uid_validity:
            action = FolderAction.COMPARE
        if action is not FolderAction.FETCH_BODIES:
            if action is not FolderAction.FOLLOW or not self._follow(folder):
                self._compare(folder)
            # A batch that was cut short by an interruption must not count as complete.
            self._control.check()
            self._messages.forget_stale(folder.id)
            # In this order: one that was killed in between is opened again.
            self._folders.recount(folder.id)
            self._folders.reach(folder.id, reached)
        self._intake.fetch_bodies()
        return True

    def take_arrivals(self, folder: StoredFolder) -> None:
        """Store what came after all that is stored of the folder, newest first. Raises MailError.

        Of very many the newest alone; they, and all else that happened in the folder, are left
        to the next pass. Nothing is done in a folder that no pass has begun to read.
        """
        validity = self._connection.select(folder.path).uid_validity
        stored, reached = self._messages.newest_uid(folder.id), folder.checkpoint
        if validity != reached.uid_validity or not (stored or reached.uid_next):
            return
        newest = max(stored, reached.uid_next - 1)
        # `n:*` names the last message even where its UID is below n.
        uids = [uid for uid in self._store.uids(f"UID {newest + 1}:*") if uid > newest]
        if uids:
            self._intake_of(folder).take_arrivals(uids[: -MOST_ARRIVALS - 1 : -1])
            self._folders.recount(folder.id)

    def _intake_of(self, folder: StoredFolder) -> Intake:
        return Intake(
            folder.id,
            self._connection,
            folders=self._folders,
            messages=self._messages,
            control=self._control,
            limits=self._limits,
            reader=self._reader,
            headers_taken=self._headers_taken,
        )

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
        for stretch in self._stretches(folder, present):
            self._control.check()
            stored = self._messages.uids_within(folder.id, [(stretch.first, stretch.last)])
            self._mend(folder, compare_uids(stretch, stored), left_alone)

    def _compare(self, folder: StoredFolder) -> None:
        left_alone = self._messages.left_alone(folder.id)
        for stretch in self._stretches(folder, self._store.uids()):
            self._control.check()
            stored = self._messages.flags_between(folder.id, stretch.first, stretch.last)
            flags = None
            if stored and stretch.uids:
                flags = list(self._store.flags(stretch.first, stretch.last))
            self._mend(folder, compare(stretch, stored, flags), left_alone)

    def _stretches(self, folder: StoredFolder, present: Sequence[int]) -> Iterator[UidRange]:
        # What came since, and was stored beside this pass, has not vanished.
        highest = max(self._connection.highest_uid, folder.checkpoint.uid_next - 1)
        return ranges_newest_first(present, STRETCH, highest=highest)

    def _mend(self, folder: StoredFolder, found: Differences, left_alone: Set[int]) -> None:
        # First what went, so that what comes back to the same folder keeps its id.
        self._messages.forget(folder.id, found.vanished)
        self._messages.change_flags(folder.id, found.changed)
        self._intake.take([uid for uid in found.new if uid not in left_alone])

"""Carries out a pass over an account: a Store on one side, the database on the other.

    list the folders, and look at the state of each, by one command where the server can
    for each folder in which something happened, inbox first: FolderPass

Of an account that was never read, the inbox is read before anything is asked of the others,
which may be thousands: somebody waits for it. A folder that cannot be read is recorded and
left out. An error that ends the pass (no connection, no login) is raised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mailboxes.drafts.reconciling import reconcile_drafts
from mailboxes.models import FolderRole
from mailboxes.sync.control import Control
from mailboxes.sync.fetching import BROKEN_CONNECTION, Connection, Pace
from mailboxes.sync.folder_pass import FOLLOWED_AT_ONCE, FolderPass
from mailboxes.sync.folder_store import FolderStore, StoredFolder
from mailboxes.sync.gmail_labels import GmailLabels
from mailboxes.sync.intake import HEADERS_FIRST, Limits
from mailboxes.sync.message_store import MessageStore
from mailboxes.sync.plan import FolderAction, choose_action
from mailboxes.sync.reading_apart import LetterReader
from mailboxes.sync.sweeping import is_sweep_due, sweep_raw_messages
from mailhub.logs import get_logger
from mailhub.mail.errors import CommandRefused, FolderMissing, MailError, ProtocolViolation
from mailhub.mail.stores.base import FolderStatus, RemoteFolder, Role, Store

log = get_logger(__name__)

INBOX = RemoteFolder("INBOX", "", Role.INBOX)
LARGEST_KEPT = 50 * 1024 * 1024

# What says that a folder cannot be read, and nothing of the others.
_ABOUT_THE_FOLDER = (CommandRefused, FolderMissing, *BROKEN_CONNECTION)


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
        followed_at_once: int = FOLLOWED_AT_ONCE,
        headers_first: int = HEADERS_FIRST,
        all_are_new: bool = False,
    ) -> None:
        self._store, self._order, self._control = store, order, control
        self._progress = control.progress
        self._connection = Connection(store)
        self._account_id = account_id
        self._folders = FolderStore(account_id)
        self._messages = MessageStore(account_id, all_are_new=all_are_new)
        self._reader = LetterReader(account_id.bytes)
        self._told: dict[str, FolderStatus] = {}
        self._labels = GmailLabels(self._connection, account_id, self._messages, control)
        self._folder_pass = FolderPass(
            self._connection,
            self._folders,
            self._messages,
            control,
            limits=Limits(pace or Pace(), largest_kept, headers_first),
            reader=self._reader,
            followed_at_once=followed_at_once,
            headers_taken=self._labels.show,
        )

    def run(self) -> None:
        """Raises PassInterrupted, or the MailError that ends it."""
        with self._reader:
            self._run()

    def _run(self) -> None:
        self._store.track_changes()
        is_new = self._folders.are_unread()
        if is_new and not self._order.folders and not self._labels.are_used:
            self._read(self._folders.keep([INBOX]))
            self._progress.folders_done = 0
        # Where there are labels, the inbox is one: what holds it is read first.
        waits = is_new and self._labels.are_used
        listed = self._known_folders() or self._list_folders(without_states=waits)
        chosen = self._choose(listed)
        self._progress.folders_total = len(chosen)
        if waits:
            self._read(chosen[:1])
            self._told = self._store.folders_and_states()[1]
        self._read(chosen[1:] if waits else chosen)
        self._follow_labels(chosen)
        if any(row.role == FolderRole.DRAFTS and self._is_wanted(row) for row in listed):
            reconcile_drafts(self._account_id, self._order.began, self._control.check)
        self._progress.current_folder = ""
        self._progress.messages_total = self._progress.messages_done
        if not self._order.folders:
            self._tidy(listed)

    def take_arrivals(self) -> None:
        """Store what is new in the folders of the order, and do nothing else there.

        May be done beside a pass over the same account. Raises MailError.
        """
        if self._folders.are_unread():
            return
        listed = self._known_folders() or self._list_folders(without_states=True)
        with self._reader:
            for folder in self._choose(listed):
                self._folder_pass.take_arrivals(folder)

    def _choose(self, listed: Sequence[StoredFolder]) -> list[StoredFolder]:
        """What is to be read, in this order. Raises FolderMissing."""
        for name in self._order.folders:
            if not any(folder.is_called(name) for folder in listed):
                raise FolderMissing(f"The account has no folder {name}.")
        return self._labels.choose(listed, [row for row in listed if self._is_wanted(row)])

    def _read(self, chosen: Sequence[StoredFolder]) -> None:
        states = self._look_at(chosen)
        quiet = self._quiet_ones(chosen, states)
        self._folders.finish_many(quiet, self._order.run_id)
        for folder in chosen:
            if folder.id not in quiet and folder.id in states:
                self._control.check()
                self._progress.current_folder = folder.path
                self._guard_folder(folder, states[folder.id])
            self._progress.folders_done += 1

    def _known_folders(self) -> list[StoredFolder]:
        """Those that are asked for, where all of them are known and the server has them.

        New mail in one folder must not wait for a list of hundreds.
        """
        names = self._order.folders
        if self._order.is_full or not names:
            return []
        found = [row for row in self._folders.all() if any(map(row.is_called, names))]
        if not all(any(row.is_called(name) for row in found) for name in names):
            return []
        if self._labels.any_of(found):
            return []
        try:
            self._told = {row.path: self._store.status(row.path) for row in found}
        except (CommandRefused, FolderMissing):
            return []
        return found

    def _list_folders(self, *, without_states: bool) -> list[StoredFolder]:
        if without_states:
            remote = self._store.folders()
        else:
            remote, self._told = self._store.folders_and_states()
        if not remote:
            # Taken at its word, it would mean that all mail is gone.
            raise ProtocolViolation("The server lists no folder at all.")
        folders = self._folders.keep(remote)
        self._labels.arrange(remote)
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
        pending = self._messages.count_all_pending()
        for folder in folders:
            self._control.check()
            if folder.checked_by == self._order.run_id:
                continue
            try:
                told = self._told.get(folder.path)
                states[folder.id] = told or self._store.status(folder.path)
            except _ABOUT_THE_FOLDER as error:
                self._record_failure(folder, error)
                continue
            fresh = max(0, states[folder.id].messages - folder.total)
            self._progress.messages_total += fresh + pending.get(folder.id, 0)
        return states

    def _quiet_ones(
        self, folders: Sequence[StoredFolder], states: Mapping[int, FolderStatus]
    ) -> set[int]:
        """Ids of those in which nothing is to be done."""
        pending, skipped = self._messages.count_all_pending(), self._messages.all_skipped()
        return {
            folder.id
            for folder in folders
            if folder.id in states
            and folder.is_sound
            and FolderAction.NOTHING
            is choose_action(
                states[folder.id],
                folder.checkpoint,
                lacks_bodies=folder.id in pending,
                compare_anyway=self._order.is_full or folder.id in skipped,
            )
        }

    def _guard_folder(self, folder: StoredFolder, status: FolderStatus) -> None:
        try:
            try:
                is_changed = self._folder_pass.run(
                    folder, status, compare_anyway=self._order.is_full
                )
            except BROKEN_CONNECTION as error:
                self._connection.leave_folder()
                self._connection.renew(error)
                # What the server cannot say of its changes it may say of its messages.
                folder = self._folders.reread(folder)
                is_changed = self._folder_pass.run(folder, status, compare_anyway=True)
        except _ABOUT_THE_FOLDER as error:
            self._record_failure(folder, error)
            return
        if is_changed:
            self._folders.recount(folder.id)
        self._folders.finish(folder.id, self._order.run_id)

    def _follow_labels(self, chosen: Sequence[StoredFolder]) -> None:
        for folder in chosen:
            if folder.role == FolderRole.ALL:
                try:
                    self._labels.follow(folder, is_full=self._order.is_full)
                except _ABOUT_THE_FOLDER as error:
                    self._record_failure(folder, error)

    def _record_failure(self, folder: StoredFolder, error: MailError) -> None:
        log.warning("folder left out", folder=folder.path, reason=error.message)
        if isinstance(error, BROKEN_CONNECTION):
            self._connection.leave_folder()
            self._connection.renew(error)
        self._folders.fail(folder.id, error.message, self._order.run_id)

    def _tidy(self, listed: Sequence[StoredFolder]) -> None:
        """What a pass over the whole account may conclude from what it has not seen."""
        for folder in self._folders.not_listed(listed):
            self._control.check()
            self._messages.forget_between(folder.id, None, None)
            self._folders.remove(folder.id)
        unread = self._folders.unread_ids()
        if not any(folder.is_selectable and folder.id in unread for folder in listed):
            self._messages.remove_orphans(self._order.began)
        if self._order.is_full or is_sweep_due(self._account_id, self._order.run_id):
            sweep_raw_messages(self._account_id, self._control)

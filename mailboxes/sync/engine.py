"""Carries out a pass over an account: a Store on one side, the database on the other.

    list the folders, and look at the state of each, by one command where the server can
    for each folder in which something happened, inbox first: FolderPass

A folder that cannot be read is recorded and left out. An error that ends the pass (no
connection, no login) is raised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mailboxes.sync.control import Control
from mailboxes.sync.fetching import BROKEN_CONNECTION, Connection, Pace
from mailboxes.sync.folder_pass import FOLLOWED_AT_ONCE, FolderPass
from mailboxes.sync.folder_store import FolderStore, StoredFolder
from mailboxes.sync.message_store import MessageStore
from mailboxes.sync.plan import FolderAction, choose_action
from mailhub.logs import get_logger
from mailhub.mail.errors import CommandRefused, FolderMissing, MailError, ProtocolViolation
from mailhub.mail.stores.base import FolderStatus, Store

log = get_logger(__name__)

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
    ) -> None:
        self._store, self._order, self._control = store, order, control
        self._progress = control.progress
        self._connection = Connection(store)
        self._folders = FolderStore(account_id)
        self._messages = MessageStore(account_id)
        self._told: dict[str, FolderStatus] = {}
        self._folder_pass = FolderPass(
            self._connection,
            self._folders,
            self._messages,
            control,
            pace=pace or Pace(),
            largest_kept=largest_kept,
            followed_at_once=followed_at_once,
        )

    def run(self) -> None:
        """Raises PassInterrupted, or the MailError that ends it."""
        self._store.track_changes()
        listed = self._list_folders()
        chosen = [folder for folder in listed if self._is_wanted(folder)]
        for name in self._order.folders:
            if not any(folder.is_called(name) for folder in listed):
                raise FolderMissing(f"The account has no folder {name}.")
        self._progress.folders_total = len(chosen)
        states = self._look_at(chosen)
        quiet = self._quiet_ones(chosen, states)
        self._folders.finish_many(quiet, self._order.run_id)
        for folder in chosen:
            if folder.id not in quiet and folder.id in states:
                self._control.check()
                self._progress.current_folder = folder.path
                self._guard_folder(folder, states[folder.id])
            self._progress.folders_done += 1
        self._progress.current_folder = ""
        self._progress.messages_total = self._progress.messages_done
        if not self._order.folders:
            self._tidy(listed)

    def _list_folders(self) -> list[StoredFolder]:
        remote, self._told = self._store.folders_and_states()
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
        self._folders.finish(folder.id, self._order.run_id)
        if is_changed:
            self._folders.recount(folder.id)

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

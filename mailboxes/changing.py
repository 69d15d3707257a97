"""Changing messages: flags, folder, deletion, on their server first and then here.

    plan        which placements are flagged, and which one leaves its folder
    server      one connection an account; folder by folder: flags, then what leaves
    here        the same rows, so that the next list shows it

A message is looked for by its UID before anything is done to it, as others may have
moved it since the last pass. What the server has done and is not noted here (a crash in
between) is found by the next pass, which knows a moved message again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from accounts.models import AccountProtocol, EmailAccount
from mailboxes.connections import store_of
from mailboxes.gmail import change_gmail_messages, has_labels
from mailboxes.models import Folder, FolderEntry, FolderRole
from mailboxes.placements import drop, refile, set_flags
from mailboxes.pop3 import change_pop3_messages
from mailboxes.sync.folder_store import FolderStore
from mailboxes.wishes import Problem, Wish
from mailhub.errors import Busy, Conflict, MailhubError, NotFound
from mailhub.mail.errors import CommandRefused, FolderMissing, MailError, MessageMissing
from mailhub.mail.stores.base import Role, Store
from mailhub.mail.stores.imap_arguments import compress_set
from mailhub.mail.stores.special_folders import folder_or_new

OpenStore = Callable[[EmailAccount], Store]


@dataclass(frozen=True, slots=True)
class _Step:
    """Something done to placements of one folder: flag, move, trash or expunge."""

    act: str
    folder: Folder
    entries: tuple[FolderEntry, ...]


def change_messages(
    account: EmailAccount,
    message_ids: Sequence[int],
    wish: Wish,
    *,
    open_store: OpenStore = store_of,
) -> dict[int, Problem]:
    """Carry the wish out; which messages it was not done to, and why.

    Conflict where a message lies in several folders and the wish does not say which
    placement leaves; NotFound where it lies in none; Busy while its folder is read anew;
    MessageMissing where the server has it no more. Raises what `open_store` does.
    """
    if account.protocol == AccountProtocol.POP3:
        return change_pop3_messages(account, message_ids, wish)
    if has_labels(account):
        return change_gmail_messages(account, message_ids, wish, open_store)
    return _Errand(account, wish).run(message_ids, open_store)


class _Errand:
    def __init__(self, account: EmailAccount, wish: Wish) -> None:
        self._account, self._wish = account, wish
        self._folders = {row.pk: row for row in Folder.objects.filter(account=account)}
        self._problems: dict[int, Problem] = {}
        self._absent: set[int] = set()
        self._flagged: set[int] = set()

    def run(self, message_ids: Sequence[int], open_store: OpenStore) -> dict[int, Problem]:
        steps = self._plan(message_ids)
        if steps:
            store = open_store(self._account)
            try:
                with store:
                    self._carry_out(store, steps)
            except MailError as error:
                self._note(steps, error)
        for message_id in self._absent - self._flagged:
            self._problems.setdefault(message_id, _gone())
        return self._problems

    def _plan(self, message_ids: Sequence[int]) -> list[_Step]:
        placements: dict[int, list[FolderEntry]] = defaultdict(list)
        for entry in FolderEntry.objects.filter(
            account=self._account, message_id__in=message_ids
        ).order_by("folder_id"):
            placements[entry.message_id].append(entry)
        steps: dict[tuple[str, int], list[FolderEntry]] = defaultdict(list)
        for message_id in dict.fromkeys(message_ids):
            try:
                for act, entry in self._acts(placements[message_id]):
                    steps[act, entry.folder_id].append(entry)
            except MailhubError as error:
                self._problems[message_id] = error
        # Flags first: they go to the placements as they are known.
        ordered = sorted(steps.items(), key=lambda item: (item[0][0] != "flag", item[0]))
        return [
            _Step(act, self._folders[folder_id], tuple(entries))
            for (act, folder_id), entries in ordered
        ]

    def _acts(self, placements: Sequence[FolderEntry]) -> list[tuple[str, FolderEntry]]:
        """What to do to the placements of one message."""
        wish = self._wish
        if not placements:
            raise NotFound("The message lies in no folder any more.")
        acts = []
        if wish.added or wish.removed:
            acts += [("flag", entry) for entry in placements]
        leaving = self._leaving(placements)
        if leaving is not None:
            acts.append((self._way_out(leaving), leaving))
        if any(entry.uid < 0 for _, entry in acts):
            raise Busy("The folder is about to be read anew; try again.", retry_after=30)
        return acts

    def _leaving(self, placements: Sequence[FolderEntry]) -> FolderEntry | None:
        wish = self._wish
        if wish.folder is None and not wish.delete:
            return None
        if wish.from_folder_id is not None:
            found = [entry for entry in placements if entry.folder_id == wish.from_folder_id]
            if not found:
                raise Conflict("The message does not lie in that folder.", code="not_in_folder")
        elif len(placements) > 1:
            raise Conflict(
                "The message lies in several folders: say in fromFolderId which one it leaves.",
                code="several_folders",
                details={"folderIds": [str(entry.folder_id) for entry in placements]},
            )
        else:
            found = list(placements)
        stays = wish.folder is not None and found[0].folder_id == wish.folder.pk
        return None if stays else found[0]

    def _way_out(self, entry: FolderEntry) -> str:
        if not self._wish.delete:
            return "move"
        in_trash = self._folders[entry.folder_id].role == FolderRole.TRASH
        return "expunge" if self._wish.permanent or in_trash else "trash"

    def _carry_out(self, store: Store, steps: Sequence[_Step]) -> None:
        for position, step in enumerate(steps):
            try:
                self._take(store, step)
            except (CommandRefused, FolderMissing, Busy) as error:
                self._note([step], error)
            except MailError as error:
                self._note(steps[position:], error)
                return

    def _take(self, store: Store, step: _Step) -> None:
        target = self._target(store, step)
        status = store.select(step.folder.path, read_only=False)
        if status.uid_validity != step.folder.uid_validity:
            raise Busy("The folder is about to be read anew; try again.", retry_after=30)
        asked = [entry for entry in step.entries if entry.message_id not in self._problems]
        if not asked:
            return
        there = set(store.uids(f"UID {compress_set(entry.uid for entry in asked)}"))
        entries = [entry for entry in asked if entry.uid in there]
        absent = {entry.message_id for entry in asked if entry.uid not in there}
        if step.act == "flag":
            self._absent |= absent
        else:
            self._problems.update((message_id, _gone()) for message_id in absent)
        uids = [entry.uid for entry in entries]
        if not uids:
            return
        if step.act == "flag":
            added = [flag for flag in self._wish.added if status.keeps(flag)]
            store.store_flags(uids, add=added, remove=self._wish.removed)
            set_flags(step.folder, uids, add=added, remove=self._wish.removed)
            self._flagged |= {entry.message_id for entry in entries}
        elif target is None:
            store.expunge(uids)
            drop(step.folder, uids)
        else:
            moved = store.move(uids, target.path)
            refile(step.folder, target, {uid: moved.get(uid) for uid in uids})

    def _target(self, store: Store, step: _Step) -> Folder | None:
        """Where what leaves goes, None for nowhere."""
        if step.act == "move":
            return self._wish.folder
        return self._trash(store) if step.act == "trash" else None

    def _trash(self, store: Store) -> Folder:
        for row in self._folders.values():
            if row.role == FolderRole.TRASH and row.is_selectable:
                return row
        path = folder_or_new(store, Role.TRASH)
        FolderStore(self._account.pk).keep(store.folders())
        row = Folder.objects.get(account=self._account, path=path)
        self._folders[row.pk] = row
        return row

    def _note(self, steps: Iterable[_Step], error: Problem) -> None:
        for step in steps:
            for entry in step.entries:
                self._problems.setdefault(entry.message_id, error)


def _gone() -> MessageMissing:
    return MessageMissing("The server does not have this message any more.")

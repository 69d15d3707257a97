"""Changing messages of a Gmail account, whose folders are labels.

A message lies once, at home: in All Mail, Spam or Trash. There its flags and labels are
changed. To move it into a label's folder adds that label and takes away the one it leaves;
to move it to All Mail archives it; Spam and Trash are moves, which end all labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accounts.models import EmailAccount
from mailboxes.journal import writing
from mailboxes.models import Folder, FolderEntry, FolderRole
from mailboxes.placements import count_by, drop, refile, set_flags
from mailboxes.wishes import Problem, Wish
from mailhub.errors import Busy, Conflict, MailhubError, NotFound
from mailhub.mail.errors import CommandRefused, FolderMissing, MailError, MessageMissing
from mailhub.mail.stores.base import Store
from mailhub.mail.stores.gmail import INBOX_LABEL, LabelledStore
from mailhub.mail.stores.imap_arguments import compress_set


@dataclass(frozen=True, slots=True)
class _Step:
    """Something done to messages of one home: flag, label, move or expunge."""

    act: str
    home: int
    target: int = 0
    removed: int = 0


def has_labels(account: EmailAccount) -> bool:
    """Whether folders of the account are labels."""
    return Folder.objects.filter(account=account).exclude(label="").exists()


def change_gmail_messages(
    account: EmailAccount,
    message_ids: Sequence[int],
    wish: Wish,
    open_store: Callable[[EmailAccount], Store],
) -> dict[int, Problem]:
    """As `change_messages` does."""
    return _Errand(account, wish).run(message_ids, open_store)


class _Errand:
    def __init__(self, account: EmailAccount, wish: Wish) -> None:
        self._account, self._wish = account, wish
        self._folders = {row.pk: row for row in Folder.objects.filter(account=account)}
        self._problems: dict[int, Problem] = {}

    def run(
        self, message_ids: Sequence[int], open_store: Callable[[EmailAccount], Store]
    ) -> dict[int, Problem]:
        steps = self._plan(message_ids)
        if steps:
            try:
                with open_store(self._account) as store:
                    while steps:
                        self._guard(store, *steps[0])
                        steps.pop(0)
            except MailError as error:
                for _, entries in steps:
                    self._note(entries, error)
        return self._problems

    def _plan(self, message_ids: Sequence[int]) -> list[tuple[_Step, list[FolderEntry]]]:
        placements: dict[int, list[FolderEntry]] = defaultdict(list)
        rows = FolderEntry.objects.filter(account=self._account, message_id__in=message_ids)
        for entry in rows.order_by("folder_id"):
            placements[entry.message_id].append(entry)
        steps: dict[_Step, list[FolderEntry]] = defaultdict(list)
        for message_id in dict.fromkeys(message_ids):
            try:
                home, labels = self._home(placements[message_id])
                if self._wish.added or self._wish.removed:
                    steps[_Step("flag", home.folder_id)].append(home)
                step = self._way(home, labels)
                if step is not None:
                    steps[step].append(home)
            except MailhubError as error:
                self._problems[message_id] = error
        # Flags first: they go to the placements as they are known.
        return sorted(steps.items(), key=lambda item: item[0].act != "flag")

    def _home(self, placements: Sequence[FolderEntry]) -> tuple[FolderEntry, list[FolderEntry]]:
        if not placements:
            raise NotFound("The message lies in no folder any more.")
        homes = [entry for entry in placements if not self._folders[entry.folder_id].label]
        if len(homes) != 1 or homes[0].uid < 0:
            raise Busy("The folder is about to be read anew; try again.", retry_after=30)
        wanted = self._wish.from_folder_id
        if wanted is not None and wanted not in {entry.folder_id for entry in placements}:
            raise Conflict("The message does not lie in that folder.", code="not_in_folder")
        return homes[0], [entry for entry in placements if entry is not homes[0]]

    def _way(self, home: FolderEntry, labels: Sequence[FolderEntry]) -> _Step | None:
        """What is to be done beside flags."""
        wish, role = self._wish, self._folders[home.folder_id].role
        if wish.delete:
            if wish.permanent or role == FolderRole.TRASH:
                return _Step("expunge", home.folder_id)
            return _Step("move", home.folder_id, self._trash().pk)
        if wish.folder is None:
            return None
        target = self._folders[wish.folder.pk]
        if role != FolderRole.ALL or target.role in (FolderRole.TRASH, FolderRole.JUNK):
            return None if target.pk == home.folder_id else _Step("move", home.folder_id, target.pk)
        leaving = self._leaving(labels)
        there = {entry.folder_id for entry in labels}
        added = 0 if not target.label or target.pk in there else target.pk
        removed = 0 if leaving == target.pk else leaving
        return _Step("label", home.folder_id, added, removed) if added or removed else None

    def _leaving(self, labels: Sequence[FolderEntry]) -> int:
        """The label that is taken away; 0 for none."""
        wanted = self._wish.from_folder_id
        if wanted is not None:
            return wanted if self._folders[wanted].label else 0
        # Starred, Important, Sent and Drafts say something of a message, not where it is.
        places = [
            entry.folder_id
            for entry in labels
            if self._folders[entry.folder_id].label == INBOX_LABEL
            or not self._folders[entry.folder_id].label.startswith("\\")
        ]
        if len(places) > 1:
            raise Conflict(
                "The message has several labels: say in fromFolderId which one it leaves.",
                code="several_folders",
                details={"folderIds": [str(pk) for pk in places]},
            )
        return places[0] if places else 0

    def _guard(self, store: Store, step: _Step, entries: Sequence[FolderEntry]) -> None:
        try:
            self._take(store, step, entries)
        except (CommandRefused, FolderMissing, MailhubError) as error:
            self._note(entries, error)

    def _take(self, store: Store, step: _Step, entries: Sequence[FolderEntry]) -> None:
        home = self._folders[step.home]
        if store.select(home.path, read_only=False).uid_validity != home.uid_validity:
            raise Busy("The folder is about to be read anew; try again.", retry_after=30)
        asked = [entry for entry in entries if entry.message_id not in self._problems]
        if not asked:
            return
        there = set(store.uids(f"UID {compress_set(entry.uid for entry in asked)}"))
        self._note(
            [entry for entry in asked if entry.uid not in there],
            MessageMissing("The server does not have this message any more."),
        )
        found = [entry for entry in asked if entry.uid in there]
        if not found:
            return
        uids = [entry.uid for entry in found]
        match step.act:
            case "flag":
                self._flag(store, home, uids)
            case "label":
                self._relabel(store, step, found)
            case "move":
                self._move(store, home, self._folders[step.target], uids)
            case _:
                self._expunge(store, home, uids)

    def _flag(self, store: Store, home: Folder, uids: Sequence[int]) -> None:
        added, removed = self._wish.added, self._wish.removed
        store.store_flags(uids, add=added, remove=removed)
        for folder in [home, *self._labels_of(home, uids)]:
            set_flags(folder, uids, add=added, remove=removed)

    def _relabel(self, store: Store, step: _Step, entries: Sequence[FolderEntry]) -> None:
        if not isinstance(store, LabelledStore):
            raise Conflict("The server has no labels any more.", code="protocol_not_supported")
        added, removed = self._folders.get(step.target), self._folders.get(step.removed)
        uids = [entry.uid for entry in entries]
        store.change_labels(
            uids,
            add=[added.label] if added else [],
            remove=[removed.label] if removed else [],
        )
        if added is not None:
            _place(added, entries)
        if removed is not None:
            drop(removed, uids)

    def _move(self, store: Store, home: Folder, target: Folder, uids: Sequence[int]) -> None:
        moved = store.move(uids, target.path)
        self._drop_labels(home, uids)
        if target.label:
            # It lies in All Mail now, under a UID that is not told.
            everything = self._by_role(FolderRole.ALL)
            rows = FolderEntry.objects.filter(folder=home, uid__in=uids)
            ids = list(rows.values_list("pk", flat=True))
            refile(home, everything, dict.fromkeys(uids))
            _place(target, list(FolderEntry.objects.filter(pk__in=ids, folder=everything)))
        else:
            refile(home, target, {uid: moved.get(uid) for uid in uids})

    def _expunge(self, store: Store, home: Folder, uids: Sequence[int]) -> None:
        """For good: in All Mail an expunge would only archive."""
        if home.role in (FolderRole.TRASH, FolderRole.JUNK):
            store.expunge(uids)
            drop(home, uids)
            return
        trash = self._trash()
        moved = store.move(uids, trash.path)
        self._drop_labels(home, uids)
        known = {uid: moved[uid] for uid in uids if uid in moved}
        if known:
            store.select(trash.path, read_only=False)
            store.expunge(list(known.values()))
            drop(home, list(known))
        lost = [uid for uid in uids if uid not in known]
        if lost:
            refile(home, trash, dict.fromkeys(lost))
            raise CommandRefused("The server moved the message to Trash, and does not say where.")

    def _drop_labels(self, home: Folder, uids: Sequence[int]) -> None:
        for folder in self._labels_of(home, uids):
            drop(folder, uids)

    def _labels_of(self, home: Folder, uids: Sequence[int]) -> list[Folder]:
        """The labels that some of these messages have."""
        if home.role != FolderRole.ALL:
            return []
        labels = [row.pk for row in self._folders.values() if row.label]
        rows = FolderEntry.objects.filter(folder_id__in=labels, uid__in=list(uids))
        ids = rows.order_by().values_list("folder_id", flat=True).distinct()
        return [self._folders[pk] for pk in ids]

    def _trash(self) -> Folder:
        return self._by_role(FolderRole.TRASH)

    def _by_role(self, role: FolderRole) -> Folder:
        found = [row for row in self._folders.values() if row.role == role and row.is_selectable]
        if not found:
            raise Conflict(f"The account shows no folder for {role.label}.", code="folder_hidden")
        return found[0]

    def _note(self, entries: Sequence[FolderEntry], error: Problem) -> None:
        for entry in entries:
            self._problems.setdefault(entry.message_id, error)


def _place(label: Folder, entries: Sequence[FolderEntry]) -> None:
    """These messages have the label too."""
    with writing(label.account_id) as note:
        present = FolderEntry.objects.filter(
            folder=label, message_id__in=[entry.message_id for entry in entries]
        )
        known = set(present.values_list("message_id", flat=True))
        fresh = [entry for entry in entries if entry.message_id not in known]
        FolderEntry.objects.bulk_create(
            FolderEntry(
                folder=label,
                account_id=entry.account_id,
                message_id=entry.message_id,
                uid=entry.uid,
                received_at=entry.received_at,
                is_seen=entry.is_seen,
                is_flagged=entry.is_flagged,
                is_answered=entry.is_answered,
                is_draft=entry.is_draft,
                keywords=entry.keywords,
                lacks_body=entry.lacks_body,
            )
            for entry in fresh
        )
        note.changed(entry.message_id for entry in fresh)
        count_by(label, total=len(fresh), unread=sum(not entry.is_seen for entry in fresh))

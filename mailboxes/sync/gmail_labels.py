"""Gmail's labels as placements.

All Mail, Spam and Trash are read as any folder is. A folder that is a label is never
selected: its placements follow from the labels of the messages of All Mail, and have their
UIDs and flags. Its checkpoint says up to which state of All Mail they do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from django.db.models import Exists, OuterRef

from mailboxes.journal import writing
from mailboxes.models import Folder, FolderEntry, FolderRole, Message
from mailboxes.sync.batches import in_batches
from mailboxes.sync.control import Control
from mailboxes.sync.fetching import Connection
from mailboxes.sync.folder_store import FolderStore, StoredFolder
from mailboxes.sync.message_store import BATCH, LOOKUP, MessageStore
from mailboxes.sync.plan import LARGEST_UID, Checkpoint, Flags
from mailboxes.sync.writing import Placement, write_placements
from mailhub.mail.stores.base import RemoteFolder
from mailhub.mail.stores.gmail import (
    INBOX_LABEL,
    LabelledStore,
    RemoteLabels,
    labels_of_folders,
)

STRETCH = 2000
_OUTGOING = {"\\Sent", "\\Draft"}


class GmailLabels:
    """The labels of one account; it has none, and nothing is done, where the server has none."""

    def __init__(
        self, connection: Connection, account_id: UUID, messages: MessageStore, control: Control
    ) -> None:
        self._connection, self._control = connection, control
        self._account_id, self._messages = account_id, messages
        self._rows = Folder.objects.filter(account_id=account_id)
        self._folders = FolderStore(account_id)
        self._labels: dict[str, str] = {}

    @property
    def are_used(self) -> bool:
        """Whether the server has labels in place of folders."""
        store = self._connection.store
        return isinstance(store, LabelledStore) and store.has_labels

    def arrange(self, remote: Sequence[RemoteFolder]) -> None:
        """Know which of the listed folders are labels."""
        if self.are_used:
            self._labels = labels_of_folders(remote)
        paths = {folder.path for folder in remote}
        rows = self._rows if self._labels else self._rows.exclude(label="")
        for row in [row for row in rows if row.path in paths]:
            label = self._labels.get(row.path, "")
            if bool(row.label) != bool(label):
                # Its UIDs were of another kind.
                self._messages.forget_between(row.pk, None, None)
                self._folders.restart(row.pk, 0)
            if row.label != label:
                self._rows.filter(pk=row.pk).update(label=label)

    def any_of(self, folders: Sequence[StoredFolder]) -> bool:
        """Whether some of these were labels when the last pass ended."""
        ids = [folder.id for folder in folders]
        return self._rows.filter(pk__in=ids).exclude(label="").exists()

    def choose(
        self, listed: Sequence[StoredFolder], wanted: Sequence[StoredFolder]
    ) -> list[StoredFolder]:
        """What is to be read in place of these: a label is read in All Mail."""
        names = {folder.path for folder in wanted}
        if names & self._labels.keys():
            names.update(folder.path for folder in listed if folder.role == FolderRole.ALL)
        return [
            folder for folder in listed if folder.path in names and folder.path not in self._labels
        ]

    def show(self, everything: int, uids: Sequence[int]) -> None:
        """Label these messages of All Mail before their bodies come; of other folders nothing."""
        store = self._connection.store
        if not self._labels or not isinstance(store, LabelledStore):
            return
        home = self._rows.filter(pk=everything, role=FolderRole.ALL).first()
        if home is None:
            return
        ids: dict[str, int] = {}
        for row in self._rows.filter(path__in=self._labels):
            ids[row.label] = row.pk
            if row.uid_validity != home.uid_validity:
                self._messages.forget_between(row.pk, None, None)
                self._folders.restart(row.pk, home.uid_validity)
        # One that was waiting for its UID has it: its place is to be free.
        self._forget_vanished(everything, list(ids.values()), below=0)
        wanted = set(uids)
        told = store.labels(min(wanted), max(wanted))
        for pk in self._apply(everything, ids, [row for row in told if row.uid in wanted]):
            self._folders.recount(pk)

    def follow(self, everything: StoredFolder, *, is_full: bool) -> None:
        """Bring the placements of all labels up to the state of All Mail. Raises MailError."""
        everything = self._folders.reread(everything)
        reached, rows = everything.checkpoint, list(self._rows.filter(path__in=self._labels))
        if not rows or not reached.uid_validity or everything.is_parked:
            return
        known = {row.pk: StoredFolder.of(row).checkpoint for row in rows}
        if reached.highest_modseq and not is_full and set(known.values()) == {reached}:
            return
        for pk, checkpoint in known.items():
            if checkpoint.uid_validity != reached.uid_validity:
                self._messages.forget_between(pk, None, None)
        if self._connection.select(everything.path).uid_validity != reached.uid_validity:
            return
        # First what went, so that what comes back under another UID finds its place free.
        self._forget_vanished(everything.id, list(known))
        ids = {row.label: row.pk for row in rows}
        for told in self._told(everything, _since(known.values(), reached, is_full=is_full)):
            self._apply(everything.id, ids, told)
        for pk in known:
            self._folders.recount(pk)
            self._folders.reach(pk, reached)

    def _told(self, everything: StoredFolder, since: int) -> Iterator[list[RemoteLabels]]:
        store = self._connection.store
        assert isinstance(store, LabelledStore)
        if since:
            self._control.check()
            yield store.labels(1, LARGEST_UID, since=since)
            return
        stored = FolderEntry.objects.filter(folder_id=everything.id, uid__gt=0)
        last = LARGEST_UID
        while last > 0:
            uids = stored.filter(uid__lte=last).order_by("-uid").values_list("uid", flat=True)
            stretch = list(uids[:STRETCH])
            if not stretch:
                return
            self._control.check()
            yield store.labels(stretch[-1], stretch[0])
            last = stretch[-1] - 1

    def _apply(
        self, everything: int, ids: Mapping[str, int], told: Sequence[RemoteLabels]
    ) -> set[int]:
        """The folders that hold other messages, or others with other flags, than before."""
        changed: set[int] = set()
        for some in in_batches(told, LOOKUP):
            self._control.refuse_if_lost()
            wanted: dict[int, set[int]] = defaultdict(set)
            for row in some:
                for label in row.labels & ids.keys():
                    wanted[ids[label]].add(row.uid)
            uids = [row.uid for row in some]
            there = _placements(everything, uids)
            for folder_id in ids.values():
                if self._mend(folder_id, uids, wanted[folder_id] & there.keys(), there):
                    changed.add(folder_id)
            self._keep_quiet_about(
                there[row.uid].message_id
                for row in some
                if row.uid in there and row.labels & _OUTGOING and INBOX_LABEL not in row.labels
            )
        return changed

    def _keep_quiet_about(self, message_ids: Iterable[int]) -> None:
        """What the user wrote is no news, though it lies in All Mail too."""
        rows = Message.objects.filter(pk__in=list(message_ids), is_unannounced=True)
        rows.update(is_unannounced=False)

    def _mend(
        self,
        folder_id: int,
        uids: Sequence[int],
        wanted: set[int],
        there: Mapping[int, Placement],
    ) -> bool:
        """Of these UIDs the wanted ones, and no others, bear the label; whether any changed."""
        stored = self._messages.flags_of(folder_id, uids)
        self._messages.forget(folder_id, sorted(stored.keys() - wanted))
        kept = stored.keys() & wanted
        changed = {uid: there[uid].flags for uid in kept if there[uid].flags != stored[uid]}
        self._messages.change_flags(folder_id, changed)
        for some in in_batches(sorted(wanted - kept), BATCH):
            with writing(self._account_id) as note:
                fresh = [there[uid] for uid in some]
                write_placements(self._account_id, folder_id, fresh)
                note.changed(row.message_id for row in fresh)
        return bool(changed) or stored.keys() != wanted

    def _forget_vanished(
        self, everything: int, folder_ids: Sequence[int], *, below: int = LARGEST_UID
    ) -> None:
        present = FolderEntry.objects.filter(folder_id=everything, uid=OuterRef("uid"))
        held = FolderEntry.objects.filter(folder_id__in=folder_ids, uid__lt=below)
        gone = held.filter(~Exists(present))
        by_folder: dict[int, list[int]] = defaultdict(list)
        for folder_id, uid in gone.values_list("folder_id", "uid"):
            by_folder[folder_id].append(uid)
        for folder_id, uids in by_folder.items():
            self._messages.forget(folder_id, uids)


def _since(known: Collection[Checkpoint], reached: Checkpoint, *, is_full: bool) -> int:
    """The MODSEQ up to which all labels are known; 0 where they must be told anew."""
    if is_full or any(one.uid_validity != reached.uid_validity for one in known):
        return 0
    return min(one.highest_modseq for one in known)


def _placements(folder_id: int, uids: Sequence[int]) -> dict[int, Placement]:
    rows = FolderEntry.objects.filter(folder_id=folder_id, uid__in=uids)
    return {
        row.uid: Placement(
            row.uid,
            row.message_id,
            row.received_at,
            row.lacks_body,
            Flags(row.is_seen, row.is_flagged, row.is_answered, row.is_draft, tuple(row.keywords)),
        )
        for row in rows
    }

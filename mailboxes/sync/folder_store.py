"""What a pass keeps of the folders of an account."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from mailboxes.models import Folder, FolderEntry, FolderRole
from mailboxes.models.folder import TRIES_BEFORE_PARKING
from mailboxes.sync.batches import in_batches
from mailboxes.sync.plan import Checkpoint
from mailhub.mail.stores.base import RemoteFolder

LONGEST_PATH = 1000
BATCH = 500
_ORDER = {role: number for number, role in enumerate(FolderRole.values)}


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder as the last pass left it."""

    id: int
    path: str
    role: str
    is_selectable: bool
    is_parked: bool
    checkpoint: Checkpoint
    total: int
    checked_by: UUID | None
    is_sound: bool

    def is_called(self, name: str) -> bool:
        """Whether a client means it by this name: its id, its path or its role."""
        return name in (str(self.id), self.path) or (bool(self.role) and name.lower() == self.role)

    @classmethod
    def of(cls, row: Folder) -> StoredFolder:
        """The value of a row."""
        return cls(
            id=row.pk,
            path=row.path,
            role=row.role,
            is_selectable=row.is_selectable,
            is_parked=row.is_parked,
            checkpoint=Checkpoint(
                row.uid_validity, row.uid_next, row.highest_modseq, row.server_total
            ),
            total=row.total,
            checked_by=row.checked_by,
            is_sound=row.failures == 0,
        )


def _count_of(entries: QuerySet[FolderEntry]) -> Coalesce:
    counted = entries.values("folder_id").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), 0)


def _reading_order(folder: StoredFolder) -> tuple[int, str]:
    return _ORDER.get(folder.role, 4), folder.path


class FolderStore:
    """The folders of one account."""

    def __init__(self, account_id: UUID) -> None:
        self._rows = Folder.objects.filter(account_id=account_id)
        self._account_id = account_id

    def keep(self, listed: Sequence[RemoteFolder]) -> list[StoredFolder]:
        """Store what the server lists; the folders in the order in which to read them."""
        rows = {row.path: row for row in self._rows.all()}
        listed = [folder for folder in listed if len(folder.path) <= LONGEST_PATH]
        fresh = [self._row(folder) for folder in listed if folder.path not in rows]
        with transaction.atomic():
            for folder in listed:
                row = rows.get(folder.path)
                if row is not None:
                    self._refresh(row, folder)
            Folder.objects.bulk_create(fresh)
        rows.update({row.path: row for row in fresh})
        found = [StoredFolder.of(rows[folder.path]) for folder in listed]
        return sorted(found, key=_reading_order)

    def all(self) -> list[StoredFolder]:
        """All that are stored, in the order in which to read them."""
        found = [StoredFolder.of(row) for row in self._rows.all()]
        return sorted(found, key=_reading_order)

    def are_unread(self) -> bool:
        """Whether no pass has read any of them yet."""
        return not self._rows.filter(uid_validity__gt=0).exists()

    def not_listed(self, listed: Sequence[StoredFolder]) -> list[StoredFolder]:
        """Those that the server has no more."""
        paths = {folder.path for folder in listed}
        return [folder for folder in self.all() if folder.path not in paths]

    def restart(self, folder_id: int, uid_validity: int) -> None:
        """Nothing of the folder is known to be complete."""
        self._update(
            folder_id,
            uid_validity=uid_validity,
            uid_next=0,
            highest_modseq=0,
            server_total=0,
            is_complete=False,
        )

    def reach(self, folder_id: int, checkpoint: Checkpoint) -> None:
        """All that the server held at this state is stored."""
        self._update(
            folder_id,
            uid_validity=checkpoint.uid_validity,
            uid_next=checkpoint.uid_next,
            highest_modseq=checkpoint.highest_modseq,
            server_total=checkpoint.messages,
            is_complete=True,
        )

    def reread(self, folder: StoredFolder) -> StoredFolder:
        """The folder as it is stored now."""
        return StoredFolder.of(self._rows.get(pk=folder.id))

    def finish(self, folder_id: int, run_id: UUID) -> None:
        """The run has gone through the folder to its end."""
        self._update(folder_id, checked_by=run_id, failures=0, failure="", failed_at=None)

    def finish_many(self, folder_ids: Collection[int], run_id: UUID) -> None:
        """The same for those that the run need not open, and that never failed."""
        for some in in_batches(sorted(folder_ids), BATCH):
            self._rows.filter(pk__in=some).update(checked_by=run_id)

    def fail(self, folder_id: int, words: str, run_id: UUID) -> None:
        """The folder could not be read; the run goes on without it."""
        self._update(
            folder_id,
            failures=F("failures") + 1,
            failure=words,
            failed_at=timezone.now(),
            checked_by=run_id,
        )

    def unread_ids(self) -> set[int]:
        """Those that the last pass could not read, and that are not given up yet."""
        failing = self._rows.filter(failures__gt=0, failures__lt=TRIES_BEFORE_PARKING)
        return set(failing.values_list("pk", flat=True))

    def unpark(self) -> None:
        """Try again those that failed too often."""
        self._rows.filter(failures__gt=0).update(failures=0)

    def recount(self, folder_id: int) -> None:
        """Bring `total` and `unread` up to date."""
        entries = FolderEntry.objects.filter(folder_id=OuterRef("pk")).order_by()
        # In one statement, as another may store messages of the folder at the same time.
        self._update(
            folder_id,
            total=_count_of(entries),
            unread=_count_of(entries.filter(is_seen=False)),
        )

    def count_in(self, folder_id: int, total: int, unread: int) -> None:
        """So many came in; `recount` has the last word."""
        self._update(folder_id, total=F("total") + total, unread=F("unread") + unread)

    def remove(self, folder_id: int) -> None:
        """Forget a folder whose messages have been forgotten."""
        self._rows.filter(pk=folder_id).delete()

    def _update(self, folder_id: int, **values: object) -> None:
        self._rows.filter(pk=folder_id).update(**values)

    def _row(self, folder: RemoteFolder) -> Folder:
        return Folder(
            account_id=self._account_id,
            path=folder.path,
            delimiter=folder.delimiter[:4],
            role=folder.role.value if folder.role else "",
            is_selectable=folder.selectable,
        )

    def _refresh(self, row: Folder, folder: RemoteFolder) -> None:
        fresh = self._row(folder)
        names = ("delimiter", "role", "is_selectable")
        if any(getattr(row, name) != getattr(fresh, name) for name in names):
            for name in names:
                setattr(row, name, getattr(fresh, name))
            row.save(update_fields=names)

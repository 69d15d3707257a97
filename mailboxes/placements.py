"""What was done on the server to placements of a folder, noted here.

Each function works in transactions of a hundred rows, and keeps the folders' counts. UIDs
that are not stored any more are passed over: a sync pass was quicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db.models import F

from mailboxes.journal import writing
from mailboxes.models import Folder, FolderEntry
from mailboxes.sync.batches import in_batches
from mailboxes.sync.message_store import BATCH, MessageStore

_COLUMNS = {"\\Seen": "is_seen", "\\Flagged": "is_flagged", "\\Answered": "is_answered"}


def set_flags(
    folder: Folder, uids: Sequence[int], *, add: Sequence[str], remove: Sequence[str] = ()
) -> None:
    """These messages of the folder have gained and lost these flags, as the server writes them."""
    changed = {**dict.fromkeys(remove, False), **dict.fromkeys(add, True)}
    values = {_COLUMNS[flag]: is_set for flag, is_set in changed.items() if flag in _COLUMNS}
    keywords = {flag: is_set for flag, is_set in changed.items() if flag not in _COLUMNS}
    for some in in_batches(uids, BATCH):
        with writing(folder.account_id) as note:
            rows = FolderEntry.objects.filter(folder=folder, uid__in=some)
            note.changed(rows.values_list("message_id", flat=True))
            is_seen = values.get("is_seen")
            if is_seen is not None:
                turned = rows.exclude(is_seen=is_seen).count()
                count_by(folder, unread=-turned if is_seen else turned)
            if values:
                rows.update(**values)
            if keywords:
                _set_keywords(list(rows), keywords)


def _set_keywords(rows: Sequence[FolderEntry], keywords: Mapping[str, bool]) -> None:
    gained = {keyword for keyword, is_set in keywords.items() if is_set}
    for row in rows:
        row.keywords = sorted({*row.keywords, *gained} - (keywords.keys() - gained))
    FolderEntry.objects.bulk_update(rows, ["keywords"])


def refile(source: Folder, target: Folder, uids: Mapping[int, int | None]) -> None:
    """These messages lie in `target` now; old UID → new UID, None where it is not known.

    Without a UID there it waits, in sight, for the next pass to find it. One of which
    another copy lies in `target` already leaves `source` alone: the next pass makes the
    second copy a message of its own.
    """
    for some in in_batches(list(uids), BATCH):
        with writing(source.account_id) as note:
            rows = list(FolderEntry.objects.filter(folder=source, uid__in=some))
            taken = _taken(target, rows, [uids[uid] for uid in some])
            moved = [
                row
                for row in rows
                if row.message_id not in taken.messages and uids[row.uid] not in taken.uids
            ]
            gone = sorted({row.uid for row in rows} - {row.uid for row in moved})
            drop(source, gone)
            for row in moved:
                row.folder, row.uid = target, uids[row.uid] or -row.pk
            FolderEntry.objects.bulk_update(moved, ["folder", "uid"])
            note.changed(row.message_id for row in moved)
            unread = sum(not row.is_seen for row in moved)
            count_by(source, total=-len(moved), unread=-unread)
            count_by(target, total=len(moved), unread=unread)


def drop(folder: Folder, uids: Sequence[int]) -> None:
    """These messages lie in the folder no more."""
    for some in in_batches(uids, BATCH):
        with writing(folder.account_id):
            rows = FolderEntry.objects.filter(folder=folder, uid__in=some)
            unread = rows.filter(is_seen=False).count()
            count_by(folder, total=-rows.count(), unread=-unread)
            MessageStore(folder.account_id).forget(folder.pk, some)


class _Taken:
    """What of a folder is occupied."""

    def __init__(self, uids: Iterable[int], messages: Iterable[int]) -> None:
        self.uids, self.messages = set(uids), set(messages)


def _taken(target: Folder, rows: Sequence[FolderEntry], uids: Iterable[int | None]) -> _Taken:
    there = FolderEntry.objects.filter(folder=target)
    known = [uid for uid in uids if uid is not None]
    messages = [row.message_id for row in rows]
    return _Taken(
        there.filter(uid__in=known).values_list("uid", flat=True),
        there.filter(message_id__in=messages).values_list("message_id", flat=True),
    )


def count_by(folder: Folder, *, total: int = 0, unread: int = 0) -> None:
    """So many more messages lie in the folder; negative for fewer."""
    if total or unread:
        Folder.objects.filter(pk=folder.pk).update(
            total=F("total") + total, unread=F("unread") + unread
        )

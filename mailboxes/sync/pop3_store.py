"""What a pass over a POP3 account keeps of the server's unique-ids.

A unique-id gets a number of ours, in the order of arrival, which stands where the UID of
an IMAP message stands. The number lasts as long as the message, whatever the server does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from mailboxes.models import BodyState, Folder, FolderEntry, MaildropMessage
from mailboxes.sync.batches import in_batches

# In place of a UIDVALIDITY: no IMAP server can say it, so that an account that is read over
# the other protocol from now on has its folder gone through anew.
OUR_NUMBERS = 2**32
# A server that lost sight of messages for a while must not bring back what was deleted here.
REMEMBERED_FOR = timedelta(days=30)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Present:
    """What the server has: number here → unique-id, and of these which are `discarded`."""

    names: dict[int, str] = field(default_factory=dict)
    discarded: set[int] = field(default_factory=set)


class Pop3Store:
    """The unique-ids of one folder."""

    def __init__(self, folder_id: int) -> None:
        self._folder_id = folder_id
        self._rows = MaildropMessage.objects.filter(folder_id=folder_id)
        self._entries = FolderEntry.objects.filter(folder_id=folder_id)

    def forget_numbers(self) -> None:
        """The folder's placements were numbered by somebody else."""
        self._rows.filter(is_discarded=False).delete()

    def note(self, unique_ids: Collection[str]) -> Present:
        """What the server lists, oldest first, is known from now on, and what it does not."""
        present, wanted = Present(), dict.fromkeys(unique_ids)
        gone: list[int] = []
        back: list[int] = []
        known = self._rows.values_list("pk", "unique_id", "uid", "is_discarded", "absent_since")
        for pk, name, uid, is_discarded, absent_since in known.iterator(2000):
            if name not in wanted:
                if absent_since is None:
                    gone.append(pk)
                continue
            if absent_since is not None:
                back.append(pk)
            self._add(present, uid, name, is_discarded=is_discarded)
            del wanted[name]
        now = timezone.now()
        for pks, since in ((gone, now), (back, None)):
            for some in in_batches(pks, _BATCH):
                self._rows.filter(pk__in=some).update(absent_since=since)
        for names in in_batches(list(wanted), _BATCH):
            for name, uid in self._number(names, now).items():
                self._add(present, uid, name)
        return present

    def stored(self) -> set[int]:
        """Numbers of the messages that lie in the folder, with all that will be had of them."""
        return set(self._entries.filter(uid__gt=0, lacks_body=False).values_list("uid", flat=True))

    def waiting(self, uids: Sequence[int]) -> dict[int, int]:
        """Of these the ones whose header alone is stored: number → message id."""
        rows = self._entries.filter(uid__in=uids, lacks_body=True)
        return dict(rows.values_list("uid", "message_id"))

    def adopt(self, digests: Mapping[int, str], present: Collection[int]) -> set[int]:
        """Those that lie here already, under a name that the server has given up.

        `digests` are the contents of new numbers. Placement, flags and all else of the message
        stay; it has the new number from now on.
        """
        adopted: set[int] = set()
        with transaction.atomic():
            candidates: dict[str, list[FolderEntry]] = {}
            rows = self._entries.filter(message__raw_digest__in=set(digests.values()))
            for row in rows.select_related("message").order_by("pk"):
                if row.uid not in present:
                    candidates.setdefault(row.message.raw_digest, []).append(row)
            taken = set(self._entries.filter(uid__in=list(digests)).values_list("uid", flat=True))
            for uid, digest in digests.items():
                if uid not in taken and candidates.get(digest):
                    row = candidates[digest].pop(0)
                    self._rows.filter(uid=row.uid).delete()
                    self._entries.filter(pk=row.pk).update(uid=uid)
                    adopted.add(uid)
        return adopted

    def settle_stale(self) -> None:
        """What came from elsewhere, and the server does not have, stays, under a number of ours."""
        stale = self._entries.filter(uid__lt=0).order_by("-uid")
        while pks := list(stale.values_list("pk", flat=True)[:_BATCH]):
            with transaction.atomic():
                for uid, pk in enumerate(pks, start=self._take_numbers(len(pks))):
                    self._entries.filter(pk=pk).update(uid=uid)

    def ripe(self, before: datetime) -> dict[int, str]:
        """Number → content of messages that are kept here whole and were first seen by then.

        Those deleted here have the content "".
        """
        rows = self._rows.filter(listed_at__lte=before, absent_since=None)
        seen = dict(rows.values_list("uid", "is_discarded"))
        found = {uid: "" for uid, is_discarded in seen.items() if is_discarded}
        kept = self._entries.filter(lacks_body=False, message__body_state=BodyState.STORED)
        for some in in_batches(sorted(seen.keys() - found.keys()), _BATCH):
            there = kept.filter(uid__in=some).exclude(message__raw_digest="")
            found.update(there.values_list("uid", "message__raw_digest"))
        return found

    def forget_old(self) -> None:
        """Forget the names of messages that neither side has had for long."""
        old = self._rows.filter(absent_since__lt=timezone.now() - REMEMBERED_FOR)
        here = Q(uid__in=self._entries.values("uid"))
        while some := list(old.exclude(here).values_list("pk", flat=True)[:_BATCH]):
            self._rows.filter(pk__in=some).delete()

    @staticmethod
    def _add(present: Present, uid: int, name: str, *, is_discarded: bool = False) -> None:
        present.names[uid] = name
        if is_discarded:
            present.discarded.add(uid)

    def _number(self, names: Sequence[str], now: datetime) -> dict[str, int]:
        with transaction.atomic():
            first = self._take_numbers(len(names))
            # Another pass, that does not know yet that it lost the run, may have been quicker.
            rows = self._rows.filter(unique_id__in=names)
            numbers = dict(rows.values_list("unique_id", "uid"))
            fresh = [name for name in names if name not in numbers]
            MaildropMessage.objects.bulk_create(
                MaildropMessage(folder_id=self._folder_id, unique_id=name, uid=uid, listed_at=now)
                for uid, name in enumerate(fresh, start=first)
            )
        return numbers | {name: uid for uid, name in enumerate(fresh, start=first)}

    def _take_numbers(self, count: int) -> int:
        """The first of so many numbers that were never given before."""
        folder = Folder.objects.select_for_update().get(pk=self._folder_id)
        used = [
            rows.aggregate(last=Max("uid"))["last"] or 0 for rows in (self._rows, self._entries)
        ]
        first = max(folder.uid_next, max(used) + 1, 1)
        Folder.objects.filter(pk=self._folder_id).update(uid_next=first + count)
        return first


def discard(folder_id: int, uids: Iterable[int]) -> None:
    """These were deleted here: they are not fetched again."""
    MaildropMessage.objects.filter(folder_id=folder_id, uid__in=list(uids)).update(
        is_discarded=True
    )

"""Writing mail of an account so that whoever follows its changes misses none.

Every change takes the account's row of `Journal` first and holds it to the end of its
transaction: the writers of an account, a pass and calls of the API, follow one another,
and a number is seen only when all lower ones are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from mailboxes.models import Journal, MessageChange
from mailboxes.rows import insert_rows

# So long a client may stay away and still be told what was removed meanwhile.
REMOVALS_KEPT = timedelta(days=30)
_FORGOTTEN_AT_ONCE = 500


class Note:
    """What one transaction changes, under one number."""

    def __init__(self, account_id: UUID, sequence: int) -> None:
        self.sequence = sequence
        self._account_id = account_id

    def created(self, message_ids: Iterable[int]) -> None:
        """These are new: nothing was ever noted of them."""
        now = timezone.now()
        insert_rows(
            MessageChange,
            ("message_id", "account_id", "sequence", "appeared", "is_removed", "noted_at"),
            [
                (message_id, self._account_id, self.sequence, self.sequence, False, now)
                for message_id in message_ids
            ],
        )

    def added(self, message_ids: Iterable[int]) -> None:
        """These came into sight again."""
        self._write(message_ids, ["appeared", "is_removed"])

    def changed(self, message_ids: Iterable[int]) -> None:
        """These look otherwise."""
        self._write(message_ids, [])

    def removed(self, message_ids: Iterable[int]) -> None:
        """These are out of sight."""
        self._write(message_ids, ["is_removed"], is_removed=True)

    def _write(
        self, message_ids: Iterable[int], fields: list[str], *, is_removed: bool = False
    ) -> None:
        now = timezone.now()
        rows = [
            MessageChange(
                message_id=message_id,
                account_id=self._account_id,
                sequence=self.sequence,
                appeared=self.sequence,
                is_removed=is_removed,
                noted_at=now,
            )
            for message_id in sorted(set(message_ids))
        ]
        if not rows:
            return
        MessageChange.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["message_id"],
            update_fields=["sequence", "noted_at", *fields],
        )


@contextmanager
def writing(account_id: UUID) -> Iterator[Note]:
    """A transaction that changes mail of the account."""
    with transaction.atomic():
        yield Note(account_id, _next_number(account_id))


def forget_old_removals(account_id: UUID) -> None:
    """Forget what was removed long ago; a client that stayed away for so long begins anew."""
    old = MessageChange.objects.filter(
        account_id=account_id, is_removed=True, noted_at__lt=timezone.now() - REMOVALS_KEPT
    )
    while some := list(old.values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE]):
        with writing(account_id):
            rows = old.filter(pk__in=some)
            last = rows.aggregate(last=Max("sequence"))["last"]
            journal = Journal.objects.filter(account_id=account_id, forgotten__lt=last or 0)
            journal.update(forgotten=last)
            rows.delete()


def _next_number(account_id: UUID) -> int:
    journal = Journal.objects.filter(account_id=account_id)
    if not journal.update(sequence=F("sequence") + 1):
        Journal.objects.bulk_create([Journal(account_id=account_id)], ignore_conflicts=True)
        journal.update(sequence=F("sequence") + 1)
    return journal.values_list("sequence", flat=True).get()

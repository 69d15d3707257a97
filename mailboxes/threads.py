"""Conversations as they are stored: joined, merged, brought up to date, dropped.

Each function is part of a transaction begun by `mailboxes.journal.writing`, which lets one
writer an account at its conversations at a time, and costs the same few queries whatever
the number of messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Case, Exists, OuterRef, Subquery, Value, When

from mailboxes.models import Message, Thread, ThreadKey
from mailboxes.rows import insert_rows, take_ids
from mailhub.mail.threading import gather


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What of a message decides its conversation; see `mailhub.mail.threading.thread_keys`."""

    keys: frozenset[int]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Joined:
    """The conversation of each newcomer, in their order.

    `known` are those of them that were there before, `moved` the ids of stored messages that
    are in another one now, as a missing link arrived.
    """

    thread_ids: Sequence[int]
    known: frozenset[int]
    moved: Sequence[int]


def join_threads(account_id: UUID, newcomers: Sequence[Newcomer]) -> Joined:
    """Find or make the conversations of messages that are about to be stored, in sight.

    A new one is up to date; the known ones are to be refreshed once the messages are there.
    """
    keys = {number: newcomer.keys for number, newcomer in enumerate(newcomers)}
    digests = frozenset[int]().union(*keys.values())
    stored = ThreadKey.objects.filter(digest__among=digests, thread__account_id=account_id)
    owners = dict(stored.values_list("digest", "thread_id"))
    gathered = gather(keys, owners)
    fresh = iter(take_ids(Thread, sum(not found.known for found in gathered)))
    joined = [0] * len(newcomers)
    successors: dict[int, int] = {}
    threads: list[tuple[object, ...]] = []
    rows: list[tuple[int, int]] = []
    for found in gathered:
        thread_id = found.known[0] if found.known else next(fresh)
        successors.update(dict.fromkeys(found.known[1:], thread_id))
        for number in found.members:
            joined[number] = thread_id
        if not found.known:
            newest = max(newcomers[number].received_at for number in found.members)
            threads.append((thread_id, account_id, newest))
        rows += [(key, thread_id) for key in found.keys - owners.keys()]
    insert_rows(Thread, ("id", "account_id", "newest_at"), threads)
    moved = _merge(successors)
    insert_rows(ThreadKey, ("digest", "thread_id"), rows, ignore_conflicts=True)
    return Joined(joined, frozenset(joined) & frozenset(owners.values()), moved)


def refresh_threads(thread_ids: Iterable[int | None]) -> None:
    """Bring `newest_at` up to date."""
    visible = Message.objects.visible().filter(thread_id=OuterRef("pk"))
    newest = visible.order_by("-received_at").values("received_at")[:1]
    Thread.objects.filter(pk__in=_ids(thread_ids)).update(newest_at=Subquery(newest))


def drop_empty_threads(thread_ids: Iterable[int | None]) -> None:
    """Delete those of which no message is left, in sight or out of it."""
    members = Message.objects.filter(thread_id=OuterRef("pk"))
    Thread.objects.filter(~Exists(members), pk__in=_ids(thread_ids)).delete()


def _merge(successors: Mapping[int, int]) -> list[int]:
    """Move all of a conversation to its successor; the ids of the messages that moved."""
    if not successors:
        return []
    lost = list(successors)
    moved = list(Message.objects.filter(thread_id__in=lost).values_list("pk", flat=True))
    successor = Case(*(When(thread_id=old, then=Value(new)) for old, new in successors.items()))
    Message.objects.filter(thread_id__in=lost).update(thread_id=successor)
    ThreadKey.objects.filter(thread_id__in=lost).update(thread_id=successor)
    Thread.objects.filter(pk__in=lost).delete()
    return moved


def _ids(thread_ids: Iterable[int | None]) -> list[int]:
    return sorted({thread_id for thread_id in thread_ids if thread_id is not None})

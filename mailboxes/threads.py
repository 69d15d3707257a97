"""Conversations as they are stored: joined, merged, brought up to date, dropped.

Each function is part of a transaction begun by `mailboxes.journal.writing`, which lets one
writer an account at its conversations at a time, and costs the same few queries whatever
the number of messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from django.db.models import Case, Exists, OuterRef, Subquery, Value, When

from mailboxes.models import Message, Thread, ThreadKey
from mailhub.mail.threading import gather, thread_keys


def join_threads(account_id: UUID, messages: Sequence[Message]) -> list[int]:
    """Give each of these messages, not yet stored, its conversation.

    The ids of stored messages that are in another one now, as a missing link arrived.
    """
    keys = {
        number: thread_keys(
            message.subject,
            [message.message_id, message.in_reply_to, *message.references],
            salt=account_id.bytes,
        )
        for number, message in enumerate(messages)
    }
    digests = frozenset[int]().union(*keys.values())
    known = ThreadKey.objects.filter(digest__in=digests, thread__account_id=account_id)
    owners = dict(known.values_list("digest", "thread_id"))
    gathered = gather(keys, owners)
    fresh = Thread.objects.bulk_create(
        Thread(account_id=account_id) for found in gathered if not found.known
    )
    created = iter(fresh)
    successors: dict[int, int] = {}
    rows = []
    for found in gathered:
        thread_id = found.known[0] if found.known else next(created).pk
        successors.update(dict.fromkeys(found.known[1:], thread_id))
        for number in found.members:
            messages[number].thread_id = thread_id
        rows += [ThreadKey(digest=key, thread_id=thread_id) for key in found.keys - owners.keys()]
    moved = _merge(successors)
    ThreadKey.objects.bulk_create(rows, ignore_conflicts=True)
    return moved


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

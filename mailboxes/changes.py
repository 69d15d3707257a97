"""What changed in an account since a moment that a client remembers.

A cursor is a number of the account's journal. All lower ones are committed when a number
is seen, so that what is told up to one is never missed. A client without a cursor is
told of everything there is, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from mailboxes.message_list import with_placements
from mailboxes.models import Journal, Message, MessageChange
from mailhub.errors import Conflict


@dataclass(frozen=True, slots=True)
class Cursor:
    """All before `sequence` was told, and of `sequence` the messages up to `message_id`.

    A client that began without a cursor knows nothing that was removed before `began`, the
    journal's number when it did. `asked` is the `sequence` of the first of several pages:
    what appeared since is new to the client, though it may have changed meanwhile.
    """

    sequence: int = 0
    message_id: int = 0
    began: int = 0
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """One page. `removed` are ids; `has_more` says whether another page is there already."""

    added: Sequence[Message]
    changed: Sequence[Message]
    removed: Sequence[int]
    cursor: Cursor
    has_more: bool


def latest_cursor(account_id: UUID) -> Cursor:
    """From which on nothing has changed yet."""
    sequence, _ = _journal(account_id)
    return Cursor(sequence + 1, 0, sequence + 1, sequence + 1)


def first_cursor(account_id: UUID) -> Cursor:
    """From which on everything is new."""
    sequence, _ = _journal(account_id)
    return Cursor(0, 0, sequence + 1, 0)


def changes_since(account_id: UUID, cursor: Cursor, limit: int) -> Changes:
    """At most `limit` messages that changed, in the order of their last changes.

    Raises Conflict `cursor_expired` where it is not known any more what was removed since.
    """
    # Read first: what is changed while the rest is read is for the next call.
    last, forgotten = _journal(account_id)
    if max(cursor.sequence, cursor.began) <= forgotten or cursor.sequence > last + 1:
        raise Conflict("This cursor is too old: begin without one.", code="cursor_expired")
    rows = MessageChange.objects.filter(account_id=account_id, sequence__lte=last)
    rows = rows.filter(
        Q(sequence__gt=cursor.sequence)
        | Q(sequence=cursor.sequence, message_id__gt=cursor.message_id),
        sequence__gte=cursor.sequence,
    ).exclude(is_removed=True, sequence__lt=cursor.began)
    found = list(rows.order_by("sequence", "message_id")[: limit + 1])
    page, has_more = found[:limit], len(found) > limit
    following = Cursor(last + 1, 0, cursor.began, last + 1)
    if has_more:
        following = Cursor(page[-1].sequence, page[-1].message_id, cursor.began, cursor.asked)
    ids = [row.message_id for row in page if not row.is_removed]
    messages = with_placements(Message.objects.visible().filter(pk__in=ids)).defer("text")
    shown = messages.in_bulk()
    new = {row.message_id for row in page if row.appeared >= cursor.asked}
    return Changes(
        added=[shown[pk] for pk in ids if pk in shown and pk in new],
        changed=[shown[pk] for pk in ids if pk in shown and pk not in new],
        removed=[row.message_id for row in page if row.is_removed],
        cursor=following,
        has_more=has_more,
    )


def _journal(account_id: UUID) -> tuple[int, int]:
    found = Journal.objects.filter(account_id=account_id).values_list("sequence", "forgotten")
    return found.first() or (0, 0)

"""What is asked of a list of messages, and what that means for their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from mailboxes.models import FolderEntry
from mailboxes.search.query import Place, SearchQuery, Words, may_go_on
from mailboxes.search.scripts import has_words

# Arrival and id of a message: its place in the list.
Position = tuple[datetime, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """What a message must be like; None and "" mean anything.

    `sender`, `recipient` and `subject` are words of names, addresses or the subject, in
    this order and in any case, of which the last may go on. `since` is included, `before` is
    not. A message is unread where it is unread in any of its folders, and flagged where it
    is in any; in the list of a folder, where it is in this one. `query` is asked for besides
    all else.
    """

    folder_id: int | None = None
    thread_id: int | None = None
    sender: str = ""
    recipient: str = ""
    subject: str = ""
    since: datetime | None = None
    before: datetime | None = None
    unread: bool | None = None
    flagged: bool | None = None
    has_attachment: bool | None = None
    query: SearchQuery = field(default_factory=SearchQuery)
    # The folder whose flags count: set by `merged`, as walking may narrow `folder_id`.
    flags_in: int | None = None

    def merged(self) -> MessageFilter | None:
        """With what the query says of the same things; None where both cannot be.

        Words are left in the query alone, for the index of words.
        """
        query = self.query
        words = self._words()
        states = [
            (self.unread, query.unread),
            (self.flagged, query.flagged),
            (self.has_attachment, query.has_attachment),
        ]
        if query.is_impossible or any({True, False} == set(state) for state in states):
            return None
        if not all(has_words(some.text) for some in words):
            return None
        unread, flagged, has_attachment = (a if b is None else b for a, b in states)
        return replace(
            self,
            since=max(filter(None, (self.since, query.since)), default=None),
            before=min(filter(None, (self.before, query.before)), default=None),
            unread=unread,
            flagged=flagged,
            has_attachment=has_attachment,
            sender="",
            recipient="",
            subject="",
            query=replace(query, words=(*query.words, *words)),
            flags_in=self.folder_id,
        )

    def _words(self) -> list[Words]:
        places = {
            Place.SENDER: self.sender,
            Place.RECIPIENTS: self.recipient,
            Place.SUBJECT: self.subject,
        }
        return [
            Words(text=text, place=place, is_prefix=may_go_on(text) and not _is_address(text))
            for place, text in places.items()
            if text
        ]


def _is_address(text: str) -> bool:
    """A whole one: the beginnings that its last word, `com`, stands for are in half of the mail."""
    _, sign, host = text.rpartition("@")
    return bool(sign) and "." in host


def lying_in(folder_ids: Sequence[int], message: str) -> Q:
    """In one of these folders; `message` names the id of a row's message."""
    lying = FolderEntry.objects.filter(folder_id__in=folder_ids, message_id=OuterRef(message))
    return Q(Exists(lying))


def content_of(wanted: MessageFilter, message: str) -> Q:
    """`message` is what leads from a row to its message: "message__", or "" from itself."""
    condition = Q()
    if wanted.thread_id is not None:
        condition &= Q(**{f"{message}thread_id": wanted.thread_id})
    if wanted.has_attachment is not None:
        condition &= Q(**{f"{message}has_attachments": wanted.has_attachment})
    if wanted.since is not None:
        condition &= Q(received_at__gte=wanted.since)
    if wanted.before is not None:
        condition &= Q(received_at__lt=wanted.before)
    return condition


def flags_of(wanted: MessageFilter, message: str, *, speaks_for_itself: bool = False) -> list[Q]:
    """Any placement of a message has the flag, or none has; `message` names its id.

    `speaks_for_itself`: the rows are all placements whose flags count.
    """
    counting = FolderEntry.objects.filter(message_id=OuterRef(message))
    if wanted.flags_in is not None:
        counting = counting.filter(folder_id=wanted.flags_in)
    conditions: list[Q] = []
    for flag, expected in (
        (Q(is_seen=False), wanted.unread),
        (Q(is_flagged=True), wanted.flagged),
    ):
        if expected and speaks_for_itself:
            conditions.append(flag)
        elif expected is not None:
            placed = Q(Exists(counting.filter(flag)))
            conditions.append(placed if expected else ~placed)
    return conditions

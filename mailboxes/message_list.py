"""Messages of accounts or of a folder, newest first, a page at a time.

The list walks along placements, whose indexes hold arrival and message in one: a page of
a million messages costs what a page of a hundred does, unless a filter on words leaves
out most of them. A search for words walks along the full-text index instead, which is in
the same order. A message that lies in several folders is listed once. Each account is
walked by itself, and the walks are merged, as no index has several accounts in order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.db.models.functions import Left

from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.search.excerpts import LONGEST_READ, Highlights
from mailboxes.search.index import place_after, place_of
from mailboxes.search.matching import newest_places
from mailboxes.search.query import FolderName, SearchQuery

# Arrival and id of a message: its place in the list.
Position = tuple[datetime, int]
# How many of the newest messages PostgreSQL looks at before it asks its index of words.
_WALKED = 5000

# What a person calls a folder → its role.
_ROLES = {"spam": "junk", "bin": "trash"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """What a message must be like; None and "" mean anything.

    `sender`, `recipient` and `subject` are parts of names, addresses or the subject, in any
    case. `since` is included, `before` is not. A message is unread where it is unread in
    any of its folders, and flagged where it is in any. `query` is asked for besides all else.
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

    def merged(self) -> MessageFilter | None:
        """With what the query says of the same things; None where both cannot be."""
        query = self.query
        states = [
            (self.unread, query.unread),
            (self.flagged, query.flagged),
            (self.has_attachment, query.has_attachment),
        ]
        if query.is_impossible or any({True, False} == set(state) for state in states):
            return None
        unread, flagged, has_attachment = (a if b is None else b for a, b in states)
        return replace(
            self,
            since=max(filter(None, (self.since, query.since)), default=None),
            before=min(filter(None, (self.before, query.before)), default=None),
            unread=unread,
            flagged=flagged,
            has_attachment=has_attachment,
        )


def list_messages(
    account_ids: Sequence[UUID], wanted: MessageFilter, *, after: Position | None, size: int
) -> list[Message]:
    """The `size` messages that follow a position; each with its placements, without its text."""
    merged = wanted.merged()
    if merged is None:
        return []
    walks = [_walk(account_id, merged, after, size) for account_id in account_ids]
    ids = [message_id for _, message_id in islice(heapq.merge(*walks, reverse=True), size)]
    found = with_placements(Message.objects.filter(pk__in=ids)).defer("text").in_bulk()
    page = [found[pk] for pk in ids if pk in found]
    if merged.query.words:
        _show_words(page, merged.query)
    return page


def _show_words(page: Sequence[Message], query: SearchQuery) -> None:
    texts = Message.objects.filter(pk__in=[message.pk for message in page])
    beginnings = dict(texts.values_list("pk", Left("text", LONGEST_READ)))
    highlights = Highlights(query)
    for message in page:
        text = beginnings.get(message.pk, "")
        message.found = highlights.show(message.subject, message.snippet, text)


def with_placements(messages: QuerySet[Message]) -> QuerySet[Message]:
    """The messages with `entries` loaded."""
    return messages.prefetch_related(Prefetch("entries", FolderEntry.objects.order_by("folder_id")))


def matching(
    entries: QuerySet[FolderEntry], wanted: MessageFilter, after: Position | None
) -> QuerySet[FolderEntry, Position]:
    """Positions of the messages among these placements, newest first, each once."""
    if wanted.folder_id is not None:
        entries = entries.filter(folder_id=wanted.folder_id)
    # Every placement of an account is walked, so that each may speak for itself.
    flags = _flags(wanted, "message_id", speaks_for_itself=wanted.folder_id is None)
    entries = entries.filter(_content(wanted, "message__"), *flags)
    if after is not None:
        received_at, message_id = after
        older = Q(received_at__lt=received_at) | Q(message_id__lt=message_id)
        entries = entries.filter(older, received_at__lte=received_at)
    newest = entries.order_by("-received_at", "-message_id")
    return newest.values_list("received_at", "message_id").distinct()


def found_by_words(
    account_id: UUID, wanted: MessageFilter, placed: Sequence[Q], after: Position | None, size: int
) -> list[tuple[int, int]]:
    """Places in the full-text index (see `place_of`) and ids, newest first."""
    ends = [] if after is None else [place_of(*after)]
    if wanted.before is not None:
        ends.append(place_after(wanted.before))
    below = min(ends, default=None)
    start = None if wanted.since is None else place_of(wanted.since, 0)
    conditions = [_content(wanted, ""), *_flags(wanted, "pk"), *placed]
    if wanted.folder_id is not None:
        conditions.append(_lying_in([wanted.folder_id], "pk"))

    def find(at_least: int | None, *, are_few: bool = False) -> list[tuple[int, int]]:
        messages = Message.objects.visible().search(
            account_id, wanted.query.words, at_least=at_least, below=below, are_few=are_few
        )
        # The index's column is none that the model has.
        found = messages.filter(*conditions).values_list("place", "pk")  # type: ignore[misc]
        return list(found[:size])

    using = Message.objects.db
    if connections[using].vendor == "sqlite":
        return find(start)
    # Frequent words are found among the newest messages; of others there are few to sort.
    newest = newest_places(using, account_id, below, _WALKED)
    if newest is None or (start is not None and start >= newest):
        return find(start)
    near = find(newest)
    return near if len(near) == size else find(start, are_few=True)


def _walk(
    account_id: UUID, wanted: MessageFilter, after: Position | None, size: int
) -> Iterable[tuple[Any, int]]:
    """Along the words where there are any, else along the placements."""
    choices = [(name, _folders_named(account_id, name)) for name in wanted.query.folders]
    for choice in choices:
        name, ids = choice
        if len(ids) == 1 and not name.is_excluded and wanted.folder_id is None:
            # One folder has an index of its own to walk along.
            wanted = replace(wanted, folder_id=ids[0])
            choices = [other for other in choices if other is not choice]
            break
    if wanted.query.words:
        return found_by_words(account_id, wanted, _folders(choices, "pk"), after, size)
    entries = placements(account_id, wanted).filter(*_folders(choices, "message_id"))
    return matching(entries, wanted, after)[:size]


def placements(account_id: UUID, wanted: MessageFilter) -> QuerySet[FolderEntry]:
    """Those of the account, by the index along which they are to be walked."""
    if wanted.thread_id is None:
        return FolderEntry.objects.filter(account_id=account_id)
    # Told of the account's own index, SQLite would walk all of it for a conversation of two.
    return FolderEntry.objects.filter(message__account_id=account_id)


def _folders_named(account_id: UUID, named: FolderName) -> list[int]:
    """Folders of this role, path or last part of the path, in any case."""
    name = named.name
    called = Q(role=_ROLES.get(name, name)) | Q(path__iexact=name)
    for delimiter in "/.\\":
        called |= Q(path__iendswith=f"{delimiter}{name}", delimiter=delimiter)
    return list(Folder.objects.filter(called, account_id=account_id).values_list("pk", flat=True))


def _folders(choices: Sequence[tuple[FolderName, list[int]]], message: str) -> list[Q]:
    """Lies in these, and not in those; `message` names the id of a row's message."""
    lying = [(name.is_excluded, _lying_in(ids, message)) for name, ids in choices]
    return [~condition if is_excluded else condition for is_excluded, condition in lying]


def _lying_in(folder_ids: Sequence[int], message: str) -> Q:
    lying = FolderEntry.objects.filter(folder_id__in=folder_ids, message_id=OuterRef(message))
    return Q(Exists(lying))


def _content(wanted: MessageFilter, message: str) -> Q:
    """`message` is what leads from a row to its message: "message__", or "" from itself."""
    parts = {
        "sender_text": wanted.sender,
        "recipient_text": wanted.recipient,
        "subject": wanted.subject,
    }
    condition = Q(**{f"{message}{name}__icontains": part for name, part in parts.items() if part})
    if wanted.thread_id is not None:
        condition &= Q(**{f"{message}thread_id": wanted.thread_id})
    if wanted.has_attachment is not None:
        condition &= Q(**{f"{message}has_attachments": wanted.has_attachment})
    if wanted.since is not None:
        condition &= Q(received_at__gte=wanted.since)
    if wanted.before is not None:
        condition &= Q(received_at__lt=wanted.before)
    return condition


def _flags(wanted: MessageFilter, message: str, *, speaks_for_itself: bool = False) -> list[Q]:
    """Any placement of a message has the flag, or none has; `message` names its id.

    `speaks_for_itself`: the rows are all placements of the messages.
    """
    conditions: list[Q] = []
    for flag, expected in (
        (Q(is_seen=False), wanted.unread),
        (Q(is_flagged=True), wanted.flagged),
    ):
        if expected and speaks_for_itself:
            conditions.append(flag)
        elif expected is not None:
            placed = Q(Exists(FolderEntry.objects.filter(flag, message_id=OuterRef(message))))
            conditions.append(placed if expected else ~placed)
    return conditions

"""Messages of accounts or of a folder, newest first, a page at a time.

The list walks along placements, whose indexes hold arrival and message in one: a page of
a million messages costs what a page of a hundred does. Words are looked for along the
full-text index instead, which is in the same order. A message that lies in several folders
is listed once. Each account is walked by itself, and the walks are merged, as no index has
several accounts in order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.db.models.functions import Left

from mailboxes.found_list import found_by_words
from mailboxes.message_filter import MessageFilter, Position, content_of, flags_of, lying_in
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.search.excerpts import LONGEST_READ, Highlights
from mailboxes.search.query import FolderName, SearchQuery

# What a person calls a folder → its role.
_ROLES = {"spam": "junk", "bin": "trash"}


def list_messages(
    account_ids: Sequence[UUID], wanted: MessageFilter, *, after: Position | None, size: int
) -> list[Message]:
    """The `size` messages that follow a position; each with its placements, without its text."""
    merged = wanted.merged()
    if merged is None:
        return []
    return load_messages(newest_ids(account_ids, merged, after=after, size=size), merged.query)


def newest_ids(
    account_ids: Sequence[UUID], merged: MessageFilter, *, after: Position | None, size: int
) -> list[int]:
    """The ids of `list_messages`, of a filter that is merged with its query."""
    walks = [_walk(account_id, merged, after, size) for account_id in account_ids]
    return [message_id for _, message_id in islice(heapq.merge(*walks, reverse=True), size)]


def load_messages(ids: Sequence[int], query: SearchQuery) -> list[Message]:
    """In this order, with their placements and what of them the query found, without texts."""
    rows = with_placements(Message.objects.filter(pk__in=ids)).defer("text")
    if not query.words:
        found = rows.in_bulk()
        return [found[pk] for pk in ids if pk in found]
    highlights = Highlights(query)
    shown = rows.annotate(beginning=Left("text", LONGEST_READ)).in_bulk()
    for message in shown.values():
        message.found = highlights.show(message.subject, message.snippet, message.beginning)
    return [shown[pk] for pk in ids if pk in shown]


def with_placements(messages: QuerySet[Message]) -> QuerySet[Message]:
    """The messages with `entries` loaded."""
    return messages.prefetch_related(Prefetch("entries", FolderEntry.objects.order_by("folder_id")))


def matching(
    entries: QuerySet[FolderEntry], wanted: MessageFilter, after: Position | None
) -> QuerySet[FolderEntry, Position]:
    """Positions of the messages among these placements, newest first, each once."""
    if wanted.folder_id is not None:
        entries = entries.filter(folder_id=wanted.folder_id)
    # Every placement whose flags count is walked, so that each may speak for itself.
    flags = flags_of(wanted, "message_id", speaks_for_itself=wanted.folder_id == wanted.flags_in)
    entries = entries.filter(content_of(wanted, "message__"), *flags)
    if after is not None:
        received_at, message_id = after
        older = Q(received_at__lt=received_at) | Q(message_id__lt=message_id)
        entries = entries.filter(older, received_at__lte=received_at)
    newest = entries.order_by("-received_at", "-message_id")
    return newest.values_list("received_at", "message_id").distinct()


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
    # Not by the database: SQLite knows the cases of ASCII alone, and an account has few folders.
    name = named.name.casefold()
    role = _ROLES.get(name, name)
    rows = Folder.objects.filter(account_id=account_id).values_list(
        "pk", "role", "path", "delimiter"
    )
    return [
        pk
        for pk, its_role, path, delimiter in rows
        if its_role == role or _is_called(path.casefold(), name, delimiter)
    ]


def _is_called(path: str, name: str, delimiter: str) -> bool:
    return path == name or (bool(delimiter) and path.endswith(delimiter + name))


def _folders(choices: Sequence[tuple[FolderName, list[int]]], message: str) -> list[Q]:
    """Lies in these, and not in those; `message` names the id of a row's message."""
    lying = [(name.is_excluded, lying_in(ids, message)) for name, ids in choices]
    return [~condition if is_excluded else condition for is_excluded, condition in lying]

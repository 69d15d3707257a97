"""Messages that hold some words, newest first, along the full-text index.

SQLite's index has the order of the list, and is walked until there are enough. That of
PostgreSQL has none: it is asked for one slice of time after the other, each larger than the
one before, so that what is gathered to be sorted grows with what is wanted, not with the
mailbox. Where the folder or the flags leave few messages, those are compared one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from django.db import connections
from django.db.models import Q, QuerySet

from mailboxes.message_filter import MessageFilter, Position, content_of, flags_of, lying_in
from mailboxes.models import FolderEntry, Message
from mailboxes.models.message import MessageQuerySet
from mailboxes.search.beginnings import Beginnings, begins, words_beginning
from mailboxes.search.few import holding
from mailboxes.search.index import (
    ID_BITS,
    LATEST_SECOND,
    SEARCHED_COLUMNS,
    place_after,
    place_of,
)
from mailboxes.search.matching import Way
from mailboxes.search.newest import Found, Matches, newest_matches, newest_places, oldest_spanned
from mailboxes.search.query import Words

# So many messages cost less to compare one by one than the index's matches with them.
_FEW = {"sqlite": 500, "postgresql": 2_000}
# Fewer where a beginning is looked for on SQLite: their texts have to be read.
_FEW_TO_READ = 200
# So many are gathered sooner than each match is asked for its placements (SQLite).
_GATHERED = 20_000
# So many of the newest are read to see whether most messages hold the beginning of a word.
_TRIED = 12
# So many messages for each that is wanted are in PostgreSQL's first slice, and fewer where it
# would gather all words with a beginning first.
_FIRST = 25
_FIRST_READ = 4
_GROWTH = 8
# So many are compared one by one rather than found by the index for a beginning.
_READ = 6_000
# Where more are expected to be looked through, by what so many held, the rest is asked for at
# once. The more of a thousand the index leads to, the later, as all of these are gathered.
_SURE = 40_000
_MOST_IN_SLICES = ((2, 70_000), (20, 300_000))


@dataclass(frozen=True, slots=True)
class _Choices:
    """Placements that the folder and each of the flags leave, where they are not too many."""

    rows: QuerySet[FolderEntry] | None

    def between(self, at_least: int | None, below: int | None) -> QuerySet[FolderEntry, int] | None:
        """The messages of all of them that arrived between two places."""
        if self.rows is None:
            return None
        rows = self.rows
        if at_least is not None and (start := at_least >> ID_BITS) > 0:
            rows = rows.filter(received_at__gte=datetime.fromtimestamp(start, UTC))
        if below is not None and (end := below >> ID_BITS) < LATEST_SECOND:
            rows = rows.filter(received_at__lt=datetime.fromtimestamp(end + 1, UTC))
        return rows.values_list("message_id", flat=True)

    def ids(self, most: int) -> list[int] | None:
        """The messages of all of them; None where they are more."""
        if self.rows is None:
            return None
        found = list(self.rows.values_list("message_id", flat=True)[: most + 1])
        return found if len(found) <= most else None


def found_by_words(
    account_id: UUID, wanted: MessageFilter, placed: Sequence[Q], after: Position | None, size: int
) -> list[Found]:
    """The `size` that follow the position; `placed` asks for the folders of a message."""
    ends = [] if after is None else [place_of(*after)]
    if wanted.before is not None:
        ends.append(place_after(wanted.before))
    conditions = [content_of(wanted, ""), *flags_of(wanted, "pk"), *placed]
    if wanted.folder_id is not None:
        conditions.append(lying_in([wanted.folder_id], "pk"))
    start = None if wanted.since is None else place_of(wanted.since, 0)
    search = _Search(
        account_id, wanted.query.words, tuple(conditions), start, min(ends, default=None), size
    )
    choices = _choices(account_id, wanted)
    if connections[Message.objects.db].vendor == "sqlite":
        return search.on_sqlite(choices)
    return search.on_postgresql(choices)


def _choices(account_id: UUID, wanted: MessageFilter) -> _Choices:
    # A folder is its account's: asked for the account as well, its index would not suffice.
    wishes: list[Q] = []
    if wanted.folder_id is not None:
        wishes.append(Q(folder_id=wanted.folder_id))
    if wanted.flagged:
        wishes.append(Q(account_id=account_id, is_flagged=True))
    if wanted.unread:
        wishes.append(Q(account_id=account_id, is_seen=False))
    few: QuerySet[FolderEntry] | None = None
    for wish in wishes:
        rows = FolderEntry.objects.filter(wish)
        if rows[: _GATHERED + 1].count() <= _GATHERED:
            ids = rows.values_list("message_id", flat=True)
            few = rows if few is None else few.filter(message_id__in=ids)
    return _Choices(few)


def _is_little(expected: int, of_thousand: int) -> bool:
    """Whether what is left of the account is not too much to be gathered at once."""
    return any(of_thousand < share and expected > most for share, most in _MOST_IN_SLICES)


@dataclass(frozen=True, slots=True)
class _Search:
    account_id: UUID
    words: Sequence[Words]
    conditions: Sequence[Q]
    at_least: int | None
    below: int | None
    size: int

    def on_sqlite(self, choices: _Choices) -> list[Found]:
        """Along the index, unless there are few to compare or a beginning is in most."""
        ids = choices.ids(_FEW_TO_READ if self._has_beginning else _FEW["sqlite"])
        if ids is not None and self._has_beginning:
            return self._holding(self._visible().filter(pk__in=ids))[: self.size]
        if ids is not None:
            return self._find(Way.EACH, Q(pk__in=ids))
        beginnings = words_beginning(Message.objects.db, self.words)
        if any(begins(some) and some not in beginnings for some in self.words):
            newest = self._among_newest()
            if newest is not None:
                return newest
        among = None if choices.rows is None else choices.rows.values_list("message_id", flat=True)
        return self._find(Way.INDEX, among=among, beginnings=beginnings)

    def on_postgresql(self, choices: _Choices) -> list[Found]:
        """One by one where there are few to compare, else slice by slice."""
        few = None if choices.rows is None else choices.rows.values_list("message_id", flat=True)
        if few is not None and len(few[: _FEW["postgresql"] + 1]) <= _FEW["postgresql"]:
            return self._newest(Way.EACH, few).found
        return self._in_slices(choices)

    def _in_slices(self, choices: _Choices) -> list[Found]:
        """The newest slice, then older ones as large as those before suggest, then the rest."""
        using = Message.objects.db
        newest = newest_places(using, self.account_id, self.below, 0)
        if newest is None:
            return []
        first = width = self.size * (_FIRST_READ if self._has_beginning else _FIRST)
        left = replace(self, below=newest + 1)
        bottom = newest_places(using, self.account_id, newest + 1, width)
        apart = 0 if bottom is None else (newest + 1 - bottom) // width
        found, seen = list[Found](), 0
        compared = 0
        # Where less is in the spans that are looked for together, there is not much in all.
        while bottom is not None and bottom > (self.at_least or 0) and width >= first:
            part = replace(left, at_least=bottom)
            some = part._newest(part._way(width), choices.between(bottom, part.below))
            found += some.found
            if len(found) >= self.size:
                return found
            seen, compared = seen + width, compared + some.compared
            left = replace(left, below=bottom, size=self.size - len(found))
            expected = left.size * seen * 3 // (max(len(found), 1) * 2)
            if seen >= _SURE and _is_little(expected, compared * 1000 // seen):
                break
            width = min(max(expected, first), _GROWTH * width)
            top, bottom = bottom, max(bottom - width * apart, oldest_spanned(bottom))
            width = (top - bottom) // apart
        if not found:
            # The index may lead to very much, of which nothing is wanted: none of it is sorted.
            return left._find(Way.INDEX)
        rest = left._newest(Way.INDEX, choices.between(left.at_least, left.below))
        return found + rest.found

    def _newest(self, way: Way, among: QuerySet[FolderEntry, int] | None) -> Matches:
        return newest_matches(
            self._visible(),
            self.account_id,
            self.words,
            way=way,
            at_least=self.at_least,
            below=self.below,
            among=among,
            size=self.size,
        )

    def _find(
        self,
        way: Way,
        *conditions: Q,
        among: QuerySet[FolderEntry, int] | None = None,
        beginnings: Beginnings | None = None,
    ) -> list[Found]:
        messages = self._visible().search(
            self.account_id,
            self.words,
            way=way,
            at_least=self.at_least,
            below=self.below,
            among=among,
            beginnings=beginnings,
        )
        # The index's column is none that the model has.
        found = messages.filter(*conditions).values_list("place", "pk")  # type: ignore[misc]
        return list(found[: self.size])

    def _way(self, width: int) -> Way:
        """How a slice is looked through, of about so many messages."""
        assert self.at_least is not None and self.below is not None, "a slice has two ends"
        is_short = self.at_least >= oldest_spanned(self.below)
        return Way.WALK if width <= _READ and (self._has_beginning or not is_short) else Way.INDEX

    @property
    def _has_beginning(self) -> bool:
        return any(begins(some) for some in self.words)

    def _visible(self) -> MessageQuerySet:
        return Message.objects.visible().filter(*self.conditions)

    def _among_newest(self) -> list[Found] | None:
        """What is found among the newest; None where it is better to ask the index of all mail.

        SQLite gathers all words with a beginning first. Where they are very many, most of the
        newest messages hold one.
        """
        rows = Message.objects.filter(account_id=self.account_id)
        if self.below is not None:
            end = self.below >> ID_BITS
            if end >= LATEST_SECOND:
                return None
            rows = rows.filter(received_at__lt=datetime.fromtimestamp(end + 1, UTC))
        newest = rows.order_by("-received_at", "-pk").values_list("pk", "received_at")

        def look(count: int) -> tuple[list[Found], bool]:
            """What is found, and whether older messages are left."""
            taken = list(newest[:count])
            found = self._holding(self._visible().filter(pk__in=[pk for pk, _ in taken]))
            has_more = len(taken) == count
            # Places know whole seconds: of the last one the others may be missing.
            least = place_after(taken[-1][1]) if has_more else 0
            return [at for at in found if at[0] >= least], has_more

        found, has_more = look(_TRIED)
        if has_more:
            if len(found) <= _TRIED // 2:
                return None
            found, has_more = look(self.size * _TRIED * 5 // (len(found) * 4))
        return found[: self.size] if len(found) >= self.size or not has_more else None

    def _holding(self, messages: MessageQuerySet) -> list[Found]:
        """Those of the few messages that hold the words, by reading them.

        The account is compared here: asked for it, SQLite would go along all of its messages.
        """
        rows = messages.values_list("pk", "account_id", "received_at", *SEARCHED_COLUMNS)
        ids: dict[int, int] = {}

        def texts() -> Iterator[tuple[int, Sequence[str]]]:
            for pk, held_by, received_at, *columns in rows.iterator():
                place = place_of(received_at, pk)
                if held_by == self.account_id and (self.below is None or place < self.below):
                    ids[place] = pk
                    yield place, columns

        return [(place, ids[place]) for place in holding(self.account_id, self.words, texts())]

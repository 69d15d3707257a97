"""The newest of some messages that hold some words, in one statement of PostgreSQL.

What the index of words can tell is gathered and sorted first. Only then, from the newest
on and no further than is wanted, is anything read that lies elsewhere: where the words of a
phrase stand, the message itself, its placements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import QuerySet

from mailboxes.search.index import SPAN_BITS
from mailboxes.search.matching import VECTORS, Condition, Way, tsquery
from mailboxes.search.query import Place, Words

# A place in the index (see `place_of`) and a message's id.
Found = tuple[int, int]

# More lexemes are dearer to join than the account's alone.
_MOST_SPANS = 8


class Matches(NamedTuple):
    """`compared`: how many that the index led to were looked at for the last of them."""

    found: list[Found]
    compared: int


def newest_matches(
    messages: QuerySet[Any],
    account_id: UUID,
    words: Sequence[Words],
    *,
    way: Way,
    at_least: int | None,
    below: int | None,
    among: QuerySet[Any, int] | None,
    size: int,
) -> Matches:
    """The account's `size` newest of these messages with the words, between two places.

    `among` are ids of not too many messages, all of which are read.
    """
    # A sum is not looked for in an index of places, which would lead past all other messages.
    place = "message_search.place" if way is Way.WALK else "(message_search.place + 0)"
    is_narrowed = way is Way.INDEX
    gathered, kept = Condition(), Condition()
    gathered.add_bounds(place, at_least, below)
    if is_narrowed:
        _add_index(gathered, account_id, words, at_least, below)
    else:
        gathered.add("message_search.account_id = %s", account_id)
    # Where it is no join, the ids are gathered once, and looked up.
    condition, table = (kept, "newest") if is_narrowed else (gathered, "message_search")
    condition.add_among(f"{table}.message_id", among)
    for some in words:
        _add_exact(kept, some, is_narrowed=is_narrowed)
    columns, texts = _vectors(words, is_narrowed=is_narrowed)
    these = messages.extra(where=["messages.id = newest.message_id"])
    one, values = these.order_by().values_list("pk").query.sql_with_params()
    with connections[messages.db].cursor() as cursor:
        # With an OFFSET, a subquery is no join, and what is outside of it is asked afterwards.
        cursor.execute(
            "SELECT place, message_id, number FROM ("  # noqa: S608 - no word of a person's is in it but as a parameter
            f"SELECT {place} AS place, message_id, row_number() OVER (ORDER BY {place} DESC)"
            f" AS number, {columns} FROM message_search"
            f" WHERE {gathered} ORDER BY {place} DESC OFFSET 0) AS newest"
            f" WHERE CASE WHEN {kept} THEN EXISTS ({one} OFFSET 0) END"
            " ORDER BY newest.place DESC LIMIT %s",
            [*texts, *gathered.params, *kept.params, *values, size],
        )
        rows = cursor.fetchall()
    return Matches([(place, pk) for place, pk, _ in rows], rows[-1][2] if rows else 0)


def newest_places(using: str, account_id: UUID, below: int | None, count: int) -> int | None:
    """The place above which the account's `count` newest messages are; None: it has no more."""
    condition = Condition()
    condition.add("account_id = %s", account_id)
    if below is not None:
        condition.add("place < %s", below)
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT place FROM message_search WHERE {condition}"  # noqa: S608 - constants
            " ORDER BY place DESC OFFSET %s LIMIT 1",
            [*condition.params, count],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def oldest_spanned(below: int) -> int:
    """The oldest place in as many spans before this one as are looked for by their words."""
    return ((below - 1 >> SPAN_BITS) - _MOST_SPANS + 1) << SPAN_BITS


def _owners(account_id: UUID, at_least: int | None, below: int | None) -> str:
    """A query for the account's messages, or for those of some spans of time (`SPAN_BITS`)."""
    account = f"account:{account_id}"
    if at_least is not None and below is not None:
        spans = range(at_least >> SPAN_BITS, (below - 1 >> SPAN_BITS) + 1)
        if at_least >= oldest_spanned(below):
            return " | ".join(f"'{account}:{span}'" for span in spans)
    return f"'{account}'"


def _add_index(
    condition: Condition,
    account_id: UUID,
    words: Sequence[Words],
    at_least: int | None,
    below: int | None,
) -> None:
    """What the index can tell by itself: of a phrase, that all of its words are there."""
    document, held = "%s::tsquery", [_owners(account_id, at_least, below)]
    for some in words:
        phrase, text = tsquery(some)
        if some.is_excluded:
            query, texts = f"(CASE WHEN numnode({phrase}) = 1 THEN !!{phrase} END)", [text, text]
            query = f"coalesce({query}, '')"
        else:
            query, texts = phrase.replace("phraseto", "plainto"), [text]
        if some.place is Place.ANYWHERE:
            document += f" && {query}"
            held += texts
        elif not _is_left_to_later(some):
            condition.add(f"message_search.{VECTORS[some.place]} @@ {query}", *texts)
    condition.add(f"message_search.document @@ ({document})", *held)


def _vectors(words: Sequence[Words], *, is_narrowed: bool) -> tuple[str, list[str]]:
    """What is needed of the columns that hold words; a phrase's where the index was asked."""
    columns, texts = [], []
    for name in dict.fromkeys(VECTORS[some.place] for some in words):
        needed = []
        for some in words:
            if VECTORS[some.place] == name and is_narrowed and not _is_left_to_later(some):
                phrase, text = tsquery(some)
                needed.append(f"numnode({phrase}) > 1")
                texts.append(text)
            elif VECTORS[some.place] == name:
                needed.append("TRUE")
        columns.append(f"CASE WHEN {' OR '.join(needed)} THEN {name} END AS {name}")
    return ", ".join(columns), texts


def _is_left_to_later(words: Words) -> bool:
    """Whether the index is not asked for these at all."""
    return words.is_excluded and words.place is not Place.ANYWHERE


def _add_exact(condition: Condition, words: Words, *, is_narrowed: bool) -> None:
    """All that the index was not asked for."""
    phrase, text = tsquery(words)
    holds = f"newest.{VECTORS[words.place]} @@ {phrase}"
    if words.is_excluded:
        holds = f"NOT ({holds})"
    if words.place is Place.ANYWHERE:
        # Signs alone ask for nothing; of one word the index knows all.
        condition.add(f"(numnode({phrase}) <= {int(is_narrowed)} OR {holds})", text, text)
    elif is_narrowed and not words.is_excluded:
        condition.add(f"(numnode({phrase}) = 1 OR {holds})", text, text)
    else:
        condition.add(holds, text)

"""Words to look for → a condition on messages, in the database's own language.

Nothing of what a person typed reaches that language but as a quoted string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db import connections
from django.db.models import QuerySet

from mailboxes.search.index import ID_BITS
from mailboxes.search.query import Place, Words
from mailboxes.search.scripts import query_words

Rows = TypeVar("Rows", bound=QuerySet[Any])

_FTS5_COLUMNS = {
    Place.ANYWHERE: "{sender recipients subject body}",
    Place.SENDER: "sender",
    Place.RECIPIENTS: "recipients",
    Place.SUBJECT: "subject",
}
_VECTORS = {
    Place.SENDER: "sender",
    Place.RECIPIENTS: "recipients",
    Place.SUBJECT: "subject",
}


def matching_words(
    messages: Rows,
    account_id: UUID,
    words: Sequence[Words],
    *,
    at_least: int | None = None,
    below: int | None = None,
    are_few: bool = False,
) -> Rows:
    """The account's messages that hold these words, and not the excluded ones.

    In the order of the index, newest first; each has its `place` in it, which is bounded by
    `at_least` and `below` (see `place_of`). `are_few`: PostgreSQL shall gather and sort all
    matches, which it does not guess right by itself, in place of walking until it has enough.
    """
    if connections[messages.db].vendor == "sqlite":
        order, wheres, params = "message_search.rowid", *_in_sqlite(account_id, words)
    else:
        order, wheres, params = "message_search.place", *_in_postgresql(account_id, words)
    if at_least is not None:
        wheres.append(f"{order} >= %s")
        params.append(at_least)
    if below is not None:
        wheres.append(f"{order} < %s")
        params.append(below)
    # What is computed has no index to walk along.
    value = f"{order} + 0" if are_few else order
    found = messages.extra(  # noqa: S610 - no word of a person's is in it but as a parameter
        select={"place": value},
        tables=["message_search"],
        where=wheres,
        params=params,
        order_by=["-place"],
    )
    return cast(Rows, found)


def newest_places(using: str, account_id: UUID, below: int | None, count: int) -> int | None:
    """The place above which the account's `count` newest messages are; None: it has no more.

    For PostgreSQL, whose index is a table.
    """
    condition = "account_id = %s"
    params: list[str | int] = [str(account_id)]
    if below is not None:
        condition += " AND place < %s"
        params.append(below)
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT place FROM message_search WHERE {condition}"  # noqa: S608 - constants
            " ORDER BY place DESC OFFSET %s LIMIT 1",
            [*params, count],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def _in_sqlite(account_id: UUID, words: Sequence[Words]) -> tuple[list[str], list[Any]]:
    wanted = [f'(account : "{account_id.hex}")']
    wanted += [_fts5(some) for some in words if not some.is_excluded]
    excluded = [_fts5(some) for some in words if some.is_excluded]
    expression = f"({' AND '.join(wanted)})"
    if excluded:
        expression += f" NOT ({' OR '.join(excluded)})"
    join = f"messages.id = (message_search.rowid & {(1 << ID_BITS) - 1})"
    return [join, "message_search MATCH %s"], [expression]


def _fts5(words: Words) -> str:
    text, may_go_on = query_words(words.text)
    star = " *" if words.is_prefix or may_go_on else ""
    quoted = text.replace('"', '""')
    return f'({_FTS5_COLUMNS[words.place]} : "{quoted}"{star})'


def _in_postgresql(account_id: UUID, words: Sequence[Words]) -> tuple[list[str], list[Any]]:
    wheres = ["message_search.message_id = messages.id", "message_search.account_id = %s"]
    params: list[Any] = [account_id]
    document, held = "%s::tsquery", [f"'account:{account_id}'"]
    for some in words:
        query, text = _tsquery(some)
        if some.place is Place.ANYWHERE:
            document += f" && {'!!' if some.is_excluded else ''}{query}"
            held.append(text)
        else:
            condition = f"message_search.{_VECTORS[some.place]} @@ {query}"
            wheres.append(f"NOT ({condition})" if some.is_excluded else condition)
            params.append(text)
    wheres.append(f"message_search.document @@ ({document})")
    return wheres, [*params, *held]


def _tsquery(words: Words) -> tuple[str, str]:
    text, may_go_on = query_words(words.text)
    query = "phraseto_tsquery('simple', message_search_folded(%s))"
    if words.is_prefix or may_go_on:
        # Written out, a phrase ends with its last word: that one may go on.
        query = f"coalesce(nullif({query}::text, '') || ':*', '')::tsquery"
    return f"({query})", text

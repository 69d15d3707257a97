"""Words to look for → a condition on messages, in the database's own language.

Nothing of what a person typed reaches that language but as a quoted string.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, TypedDict, TypeVar, Unpack, cast
from uuid import UUID

from django.db import connections
from django.db.models import QuerySet

from mailboxes.search.beginnings import Beginnings
from mailboxes.search.index import ID_BITS, PLACE_ON_SQLITE
from mailboxes.search.query import Place, Words
from mailboxes.search.scripts import query_words

Rows = TypeVar("Rows", bound=QuerySet[Any])

_FTS5_COLUMNS = {
    Place.ANYWHERE: "{sender recipients subject body}",
    Place.SENDER: "sender",
    Place.RECIPIENTS: "recipients",
    Place.SUBJECT: "subject",
}
_ID_IN_SQLITE = f"(message_search.rowid & {(1 << ID_BITS) - 1})"
_SAMPLE = 64
VECTORS = {
    Place.ANYWHERE: "document",
    Place.SENDER: "sender",
    Place.RECIPIENTS: "recipients",
    Place.SUBJECT: "subject",
}


class Way(Enum):
    """How messages that hold words are found."""

    # The index of words leads to them.
    INDEX = auto()
    # Those that all other conditions leave are compared, which are few.
    EACH = auto()
    # All of the account between two places are compared, the newest first (PostgreSQL).
    WALK = auto()


class How(TypedDict, total=False):
    """`at_least` and `below` bound a message's place (see `place_of`).

    `among` are ids of not too many messages, to which it is compared before a message is
    read. `beginnings`: see `words_beginning`.
    """

    way: Way
    at_least: int | None
    below: int | None
    among: QuerySet[Any, int] | None
    beginnings: Beginnings | None


def matching_words(
    messages: Rows,
    account_id: UUID,
    words: Sequence[Words],
    **how: Unpack[How],
) -> Rows:
    """The account's messages that hold these words, and not the excluded ones.

    In the order of the index, newest first; each has its `place` in it.
    """
    if connections[messages.db].vendor != "sqlite":
        place, condition = _in_postgresql(account_id, words)
        tables, message = ["message_search"], "message_search.message_id"
    elif how.get("way") is Way.EACH:
        place, condition = _each_in_sqlite(account_id, words)
        tables, message = [], "messages.id"
    else:
        is_large = _is_large(messages.db, account_id)
        expression = fts5_expression(account_id, words, how.get("beginnings"), of_any=is_large)
        place, condition = "message_search.rowid", Condition()
        condition.add(f"messages.id = {_ID_IN_SQLITE}")
        condition.add("message_search MATCH %s", expression)
        # Not by the index of the account's messages, whose rows lie anywhere.
        condition.add("+messages.account_id = %s", account_id.hex)
        tables, message = ["message_search"], _ID_IN_SQLITE
    condition.add_among(message, how.get("among"))
    condition.add_bounds(place, how.get("at_least"), how.get("below"))
    found = messages.extra(  # noqa: S610 - no word of a person's is in it but as a parameter
        select={"place": place},
        tables=tables,
        where=condition.wheres,
        params=condition.params,
        order_by=["-place"],
    )
    return cast(Rows, found)


class Condition:
    """Parts of a WHERE and the values of their places."""

    def __init__(self) -> None:
        self.wheres: list[str] = []
        self.params: list[Any] = []

    def add(self, where: str, *params: Any) -> None:
        """One more."""
        self.wheres.append(where)
        self.params += params

    def add_bounds(self, place: str, at_least: int | None, below: int | None) -> None:
        """Between two places, where they are given."""
        if at_least is not None:
            self.add(f"{place} >= %s", at_least)
        if below is not None:
            self.add(f"{place} < %s", below)

    def add_among(self, message: str, ids: QuerySet[Any, int] | None) -> None:
        """One of these messages, where they are given."""
        if ids is not None:
            query, values = ids.query.sql_with_params()
            self.add(f"{message} IN ({query})", *values)

    def __str__(self) -> str:
        return " AND ".join(self.wheres)


def _each_in_sqlite(account_id: UUID, words: Sequence[Words]) -> tuple[str, Condition]:
    place = PLACE_ON_SQLITE.format(row="messages").replace("%", "%%")
    condition = Condition()
    condition.add("+messages.account_id = %s", account_id.hex)
    condition.add(
        "EXISTS (SELECT 1 FROM message_search WHERE message_search MATCH %s"  # noqa: S608 - constants
        f" AND message_search.rowid = {place})",
        fts5_expression(account_id, words, of_any=True),
    )
    return place, condition


def _is_large(using: str, account_id: UUID) -> bool:
    """Whether a sixteenth of all messages or more are the account's, by a sample.

    Then it costs less to leave the others out where they are found than to compare every
    match with all that the account has.
    """
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT max(id) FROM messages")
        (last,) = cursor.fetchone()
        ids = [str(last * number // _SAMPLE) for number in range(1, _SAMPLE + 1)] if last else []
        cursor.execute(f"SELECT account_id FROM messages WHERE id IN ({', '.join(ids)})")  # noqa: S608 - numbers
        owners = [owner for (owner,) in cursor.fetchall()]
    return owners.count(account_id.hex) * 16 >= len(owners) > 0


def fts5_expression(
    account_id: UUID,
    words: Sequence[Words],
    beginnings: Beginnings | None = None,
    *,
    of_any: bool = False,
) -> str:
    """For SQLite's MATCH. `of_any`: other accounts' messages may be found as well."""
    beginnings = beginnings or {}
    wanted = [_fts5(some, beginnings) for some in words if not some.is_excluded]
    if not (of_any and wanted):
        wanted.insert(0, f'(account : "{account_id.hex}")')
    excluded = [_fts5(some, beginnings) for some in words if some.is_excluded]
    expression = f"({' AND '.join(wanted)})"
    return f"{expression} NOT ({' OR '.join(excluded)})" if excluded else expression


def _fts5(words: Words, beginnings: Beginnings) -> str:
    column = _FTS5_COLUMNS[words.place]
    if words in beginnings:
        some = [_quoted(word) for word in beginnings[words]]
        # What begins no word is found nowhere, as itself.
        return f"({column} : ({' OR '.join(some or [_quoted(words.text)])}))"
    text, may_go_on = query_words(words.text)
    star = " *" if words.is_prefix or may_go_on else ""
    return f"({column} : {_quoted(text)}{star})"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _in_postgresql(account_id: UUID, words: Sequence[Words]) -> tuple[str, Condition]:
    condition = Condition()
    condition.add("message_search.message_id = messages.id")
    document, held = "%s::tsquery", [f"'account:{account_id}'"]
    for some in words:
        query, text = tsquery(some)
        if some.place is Place.ANYWHERE:
            document += f" && {'!!' if some.is_excluded else ''}{query}"
            held.append(text)
        else:
            holds = f"(message_search.{VECTORS[some.place]} @@ {query})"
            condition.add(f"NOT ({holds})" if some.is_excluded else holds, text)
    condition.add(f"(message_search.document @@ ({document}))", *held)
    # A sum is not looked for in an index: PostgreSQL would walk along all places for a word
    # that it takes for a frequent one.
    return "(message_search.place + 0)", condition


def tsquery(words: Words) -> tuple[str, str]:
    """For PostgreSQL: an expression, and its parameter."""
    text, may_go_on = query_words(words.text)
    query = "phraseto_tsquery('simple', message_search_folded(%s))"
    if words.is_prefix or may_go_on:
        # Written out, a phrase ends with its last word: that one may go on.
        query = f"coalesce(nullif({query}::text, '') || ':*', '')::tsquery"
    return f"({query})", text

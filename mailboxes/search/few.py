"""Which of a few messages hold some words: an index of them alone, in memory.

For SQLite, where the index of all mail walks the messages that hold a word from their
beginning for each message it is asked about. The same tokenizer reads the same columns, so
what is found is the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from uuid import UUID

from mailboxes.search.index import FTS5_TABLE
from mailboxes.search.matching import fts5_expression
from mailboxes.search.query import Words
from mailboxes.search.scripts import index_words


def holding(
    account_id: UUID, words: Sequence[Words], texts: Iterable[tuple[int, Sequence[str]]]
) -> list[int]:
    """Numbers of the texts that hold these words, the highest first.

    A text is a number above 0 and what is in `SEARCHED_COLUMNS`.
    """
    rows = (
        (number, account_id.hex, *(index_words(text) for text in columns))
        for number, columns in texts
    )
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(FTS5_TABLE)
        memory.executemany(
            "INSERT INTO message_search (rowid, account, sender, recipients, subject, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        found = memory.execute(
            "SELECT rowid FROM message_search WHERE message_search MATCH ? ORDER BY rowid DESC",
            [fts5_expression(account_id, words)],
        )
        return [number for (number,) in found]

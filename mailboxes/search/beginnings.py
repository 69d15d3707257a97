"""The words that begin as somebody typed, from SQLite's index.

FTS5 reads all messages of all words with a beginning before it gives the first of them.
Each of the words by itself it reads only as far as it is needed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing

from django.db import connections

from mailboxes.search.index import FTS5_TABLE, FTS5_WORDS
from mailboxes.search.query import Words
from mailboxes.search.scripts import query_words

Beginnings = Mapping[Words, Sequence[str]]

# More than so many are dearer to look for each by itself.
MOST_WORDS = 100
_AFTER_ALL = chr(0x10FFFF)
# From one word to the next without its messages: no word holds the character 1.
_WORDS = """
    WITH RECURSIVE found(word) AS (
        SELECT (SELECT term FROM message_words WHERE term >= %s LIMIT 1)
        UNION ALL
        SELECT (SELECT term FROM message_words WHERE term >= word || char(1) LIMIT 1)
        FROM found WHERE word < %s
    )
    SELECT word FROM found WHERE word < %s LIMIT %s
"""


def begins(words: Words) -> bool:
    """Whether the last of them may be the beginning of one."""
    return words.is_prefix or query_words(words.text)[1]


def words_beginning(using: str, looked_for: Sequence[Words]) -> Beginnings:
    """The words of the index for each beginning of one, where they are not too many."""
    found = {}
    for words in looked_for:
        if begins(words):
            tokens = _tokens(query_words(words.text)[0])
            if len(tokens) == 1 and (some := _beginning(using, tokens[0])) is not None:
                found[words] = some
    return found


def _beginning(using: str, beginning: str) -> list[str] | None:
    end = beginning + _AFTER_ALL
    with connections[using].cursor() as cursor:
        cursor.execute(_WORDS, [beginning, end, end, MOST_WORDS + 1])
        words = [word for (word,) in cursor.fetchall()]
    return words if len(words) <= MOST_WORDS else None


def _tokens(text: str) -> list[str]:
    """What the index makes of a text."""
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(FTS5_TABLE)
        memory.execute(FTS5_WORDS)
        memory.execute("INSERT INTO message_search (rowid, body) VALUES (1, ?)", [text])
        return [word for (word,) in memory.execute("SELECT term FROM message_words")]

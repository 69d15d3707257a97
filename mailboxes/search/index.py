"""The index: made, followed by triggers, made anew, removed; for both databases.

It stands beside the table of messages and no model knows it. Its rows are in the order
of `place`, a 63-bit number of the second of arrival and the message's id, so that the
newest matches of an account come first without sorting all of them.

SQLite: an FTS5 table without content of its own, `place` for its rowid. PostgreSQL: a
narrow table of text-search vectors under one GIN index. On both the account is a word of
the index, so that another account's words cost nothing and are never found.

On SQLite the triggers call a function that each connection of this project registers:
another program can read the tables, but not change a message's words. A later migration
that alters `messages` makes SQLite's table anew, without its triggers: it must end with
`create_index`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

from mailboxes.search.scripts import UNSPACED, index_words

ID_BITS: Final = 31
LATEST_SECOND: Final = 2**32 - 1
# How much of each is indexed by PostgreSQL, in characters: a vector holds a megabyte, and
# a character may need 14 octets of it.
_LONGEST = {"sender_text": 2_000, "recipient_text": 20_000, "subject": 8_000, "text": 40_000}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = ("sender_text", "recipient_text", "subject", "text")
_WATCHED = ("account_id", "received_at", *_COLUMNS)
_PUNCTUATION = "".join(
    chr(code) for code in range(33, 127) if not chr(code).isalnum() and chr(code) != "'"
)
# Signs beyond ASCII that stand between words, for databases whose locale does not know.
_SIGNS = (
    r"\u0080-\u00A9\u00AB-\u00B1\u00B4\u00B6-\u00B8\u00BB\u00BF\u00D7\u00F7\u02C2-\u02DF\u2000-\u2070"
    r"\u20A0-\u20CF\u2190-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\u303D-\u303F"
    r"\u30FB\uE000-\uF8FF\uFE00-\uFE1F\uFE30-\uFE6F\uFF00-\uFF0F\uFFF0-\uFFFF"
    r"\U0001F000-\U0001FBFF\U000E0000-\U000E01EF"
)


def place_of(received_at: datetime, message_id: int) -> int:
    """Where a message stands in the index: a later one has a higher place."""
    seconds = (received_at - _EPOCH).days * 86400 + (received_at - _EPOCH).seconds
    return max(0, min(LATEST_SECOND, seconds)) << ID_BITS | message_id & (1 << ID_BITS) - 1


def place_after(moment: datetime) -> int:
    """A place above all messages that arrived before this moment."""
    return min(place_of(moment, 0) + (1 << ID_BITS), 2**63 - 1)


def register_functions(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """For Django's signal `connection_created`: what the triggers of SQLite call."""
    if connection.vendor == "sqlite":
        connection.connection.create_function(
            "message_search_words", 1, index_words, deterministic=True
        )


def create_index(connection: BaseDatabaseWrapper) -> None:
    """Make the index of the messages that are there, and the triggers that keep it.

    One that exists is replaced.
    """
    remove_index(connection)
    _run(connection, _sqlite() if connection.vendor == "sqlite" else _postgresql(connection))


def remove_index(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers first, then what they write to."""
    names = ("insert", "update", "delete", "truncate")
    if connection.vendor == "sqlite":
        drops = [f"DROP TRIGGER IF EXISTS message_search_{name}" for name in names]
        _run(connection, [*drops, "DROP TABLE IF EXISTS message_search"])
        return
    drops = [f"DROP TRIGGER IF EXISTS message_search_{name} ON messages" for name in names]
    functions = ("follow()", "forget_all()", "words(text)", "folded(text)")
    _run(
        connection,
        [
            *drops,
            "DROP TABLE IF EXISTS message_search",
            *(f"DROP FUNCTION IF EXISTS message_search_{function}" for function in functions),
        ],
    )


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _sqlite() -> list[str]:
    second = "CAST(strftime('%s', {row}.received_at) AS INTEGER)"
    place = (
        f"(max(0, min({LATEST_SECOND}, {second})) << {ID_BITS})"
        f" | ({{row}}.id & {(1 << ID_BITS) - 1})"
    )
    words = ", ".join(f"message_search_words({{row}}.{name})" for name in _COLUMNS)
    values = f"{place}, {{row}}.account_id, {words}"
    columns = "rowid, account, sender, recipients, subject, body"
    add = f"INSERT INTO message_search ({columns}) VALUES ({values.format(row='new')});"  # noqa: S608 - constants
    forget = (
        f"INSERT INTO message_search (message_search, {columns})"  # noqa: S608 - constants
        f" VALUES ('delete', {values.format(row='old')});"
    )
    changed = " OR ".join(f"old.{name} IS NOT new.{name}" for name in ("id", *_WATCHED))
    return [
        "CREATE VIRTUAL TABLE message_search USING fts5("
        "account, sender, recipients, subject, body, content='', columnsize=0,"
        " tokenize=\"unicode61 remove_diacritics 2 categories 'L* N* M* Co'\")",
        f"CREATE TRIGGER message_search_insert AFTER INSERT ON messages BEGIN {add} END",
        f"CREATE TRIGGER message_search_delete AFTER DELETE ON messages BEGIN {forget} END",
        f"CREATE TRIGGER message_search_update AFTER UPDATE OF id, {', '.join(_WATCHED)}"
        f" ON messages WHEN {changed} BEGIN {forget} {add} END",
        f"INSERT INTO message_search ({columns})"  # noqa: S608 - constants
        f" SELECT {values.format(row='messages')} FROM messages ORDER BY received_at, id",
    ]


def _postgresql(connection: BaseDatabaseWrapper) -> list[str]:
    values = _postgresql_values("new")
    sources = ", ".join(_WATCHED)
    changed = " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in ("id", *_WATCHED))
    columns = "message_id, account_id, place, sender, recipients, subject, document"
    return [
        *_postgresql_functions(connection),
        # The vectors lie beside the table, so that a walk over it reads few pages.
        "CREATE TABLE message_search (message_id bigint PRIMARY KEY, account_id uuid NOT NULL,"
        " place bigint NOT NULL, sender tsvector NOT NULL, recipients tsvector NOT NULL,"
        " subject tsvector NOT NULL, document tsvector NOT NULL) WITH (toast_tuple_target = 128)",
        f"""CREATE FUNCTION message_search_follow() RETURNS trigger LANGUAGE plpgsql AS $follow$
        BEGIN
            IF tg_op <> 'INSERT' THEN
                DELETE FROM message_search WHERE message_id = old.id;
            END IF;
            IF tg_op <> 'DELETE' THEN
                INSERT INTO message_search ({columns}) VALUES ({values});
            END IF;
            RETURN NULL;
        END $follow$""",  # noqa: S608 - constants
        """CREATE FUNCTION message_search_forget_all() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            TRUNCATE message_search;
            RETURN NULL;
        END $$""",
        f"INSERT INTO message_search ({columns})"  # noqa: S608 - constants
        f" SELECT {_postgresql_values('messages')} FROM messages",
        "CREATE INDEX message_search_by_words ON message_search USING gin"
        " (document, sender, recipients, subject) WITH (gin_pending_list_limit = 1024)",
        "CREATE INDEX message_search_newest ON message_search (account_id, place)",
        "CREATE TRIGGER message_search_insert AFTER INSERT ON messages"
        " FOR EACH ROW EXECUTE FUNCTION message_search_follow()",
        "CREATE TRIGGER message_search_delete AFTER DELETE ON messages"
        " FOR EACH ROW EXECUTE FUNCTION message_search_follow()",
        f"CREATE TRIGGER message_search_update AFTER UPDATE OF id, {sources} ON messages"
        f" FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION message_search_follow()",
        "CREATE TRIGGER message_search_truncate AFTER TRUNCATE ON messages"
        " FOR EACH STATEMENT EXECUTE FUNCTION message_search_forget_all()",
    ]


def _postgresql_values(row: str) -> str:
    sender, recipients, subject, text = (
        f"to_tsvector('simple', message_search_words(left({row}.{name}, {length})))"
        for name, length in _LONGEST.items()
    )
    seconds = f"floor(extract(epoch FROM {row}.received_at))::bigint"
    account = f"array_to_tsvector(ARRAY['account:' || {row}.account_id])"
    # No phrase reaches from one field into the next: a word that nobody types is between.
    everything = " || $$'|':1$$::tsvector || ".join((subject, sender, recipients, text))
    return (
        f"{row}.id, {row}.account_id,"
        f" (greatest(0, least({LATEST_SECOND}, {seconds})) << {ID_BITS})"
        f" | ({row}.id & {(1 << ID_BITS) - 1}),"
        f" {sender}, {recipients}, {subject},"
        f" {account} || {everything}"
    )


def _postgresql_functions(connection: BaseDatabaseWrapper) -> list[str]:
    unspaced = "".join(f"\\U{first:08X}-\\U{last:08X}" for first, last in UNSPACED)
    is_unspaced = " OR ".join(f"ascii(c) BETWEEN {first} AND {last}" for first, last in UNSPACED)
    lowered = "lower(normalize(folded, NFKD)"
    lowered += ' COLLATE "und-x-icu")' if _has_icu(connection) else ")"
    blanks = " " * (len(_PUNCTUATION) + 1)
    return [
        f"""CREATE FUNCTION message_search_folded(content text) RETURNS text
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
        DECLARE folded text := content;
        BEGIN
            IF octet_length(content) <> length(content) THEN
                folded := {lowered};
                folded := regexp_replace(folded, '[\\u0300-\\u036F]+', '', 'g');
                folded := normalize(folded, NFKC);
                folded := regexp_replace(folded, '[{_SIGNS}]+', ' ', 'g');
            END IF;
            RETURN translate(folded, '''{_PUNCTUATION.replace("%", "%%")}', '{blanks}');
        END $$""",
        f"""CREATE FUNCTION message_search_words(content text) RETURNS text
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
        DECLARE folded text := message_search_folded(content);
        BEGIN
            IF folded !~ '[{unspaced}]' THEN
                RETURN folded;
            END IF;
            RETURN (
                SELECT string_agg(
                    CASE WHEN NOT here THEN c WHEN following_here THEN ' ' || c || following
                    ELSE ' ' || c || ' ' END, '' ORDER BY n)
                FROM (
                    SELECT c, n, here, lead(c) OVER (ORDER BY n) AS following,
                        lead(here) OVER (ORDER BY n) AS following_here
                    FROM (
                        SELECT c, n, ({is_unspaced}) AS here
                        FROM string_to_table(folded, NULL) WITH ORDINALITY AS t (c, n)
                    ) AS characters
                ) AS pairs
            );
        END $$""",  # noqa: S608 - constants
    ]


def _has_icu(connection: BaseDatabaseWrapper) -> bool:
    """Whether this PostgreSQL knows the case of all letters, whatever its locale."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'")
        return cursor.fetchone() is not None

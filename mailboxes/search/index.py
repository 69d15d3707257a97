"""The index: made, followed by triggers, made anew, removed; for both databases.

It stands beside the table of messages and no model knows it. Its rows are in the order
of `place`, a 63-bit number of the second of arrival and the message's id, so that the
newest matches of an account come first without sorting all of them.

SQLite: an FTS5 table without content of its own, `place` for its rowid. PostgreSQL: a
narrow table of text-search vectors under one GIN index. On both the account is a word of
the index, so that another account's words cost nothing and are never found. GIN knows no
order: on PostgreSQL the span of time in which the account got the message is a word too.

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
from mailboxes.search.vectors import LONGEST, SIGNS, TYPOGRAPHY

ID_BITS: Final = 31
# Places that have all but these bits in common are a span: 24 days.
SPAN_BITS: Final = ID_BITS + 21
LATEST_SECOND: Final = 2**32 - 1

# Of `{row}`; in parentheses, as it is part of comparisons.
PLACE_ON_SQLITE: Final = (
    f"((max(0, min({LATEST_SECOND}, CAST(strftime('%s', {{row}}.received_at) AS INTEGER)))"
    f" << {ID_BITS}) | ({{row}}.id & {(1 << ID_BITS) - 1}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What is indexed of a message, in the order of the index's columns.
SEARCHED_COLUMNS: Final = ("sender_text", "recipient_text", "subject", "text")
FTS5_TABLE: Final = (
    "CREATE VIRTUAL TABLE message_search USING fts5("
    "account, sender, recipients, subject, body, content='', columnsize=0,"
    " tokenize=\"unicode61 remove_diacritics 2 categories 'L* N* M* Co'\")"
)
# The words themselves, in their order.
FTS5_WORDS: Final = "CREATE VIRTUAL TABLE message_words USING fts5vocab(message_search, instance)"
_POSTGRESQL_COLUMNS = "message_id, account_id, place, sender, recipients, subject, document"
_WATCHED = ("account_id", "received_at", *SEARCHED_COLUMNS)
_PUNCTUATION = "".join(chr(code) for code in range(33, 127) if not chr(code).isalnum())


def place_of(received_at: datetime, message_id: int) -> int:
    """Where a message stands in the index: a later one has a higher place."""
    seconds = (received_at - _EPOCH).days * 86400 + (received_at - _EPOCH).seconds
    return max(0, min(LATEST_SECOND, seconds)) << ID_BITS | message_id & (1 << ID_BITS) - 1


def place_after(moment: datetime) -> int:
    """A place above all messages that arrived before this moment."""
    return min(place_of(moment, 0) + (1 << ID_BITS), 2**63 - 1)


def prepare_connection(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """For Django's signal `connection_created`.

    SQLite is given what its triggers call. PostgreSQL compiles what it expects to be dear,
    as it does of most searches: that takes ten times as long as they do.
    """
    if connection.vendor == "sqlite":
        connection.connection.create_function(
            "message_search_words", 1, index_words, deterministic=True
        )
    elif connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")


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
        tables = ("message_words", "message_search")
        _run(connection, [*drops, *(f"DROP TABLE IF EXISTS {name}" for name in tables)])
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
    words = ", ".join(f"message_search_words({{row}}.{name})" for name in SEARCHED_COLUMNS)
    values = f"{PLACE_ON_SQLITE}, {{row}}.account_id, {words}"
    columns = "rowid, account, sender, recipients, subject, body"
    add = f"INSERT INTO message_search ({columns}) VALUES ({values.format(row='new')});"  # noqa: S608 - constants
    forget = (
        f"INSERT INTO message_search (message_search, {columns})"  # noqa: S608 - constants
        f" VALUES ('delete', {values.format(row='old')});"
    )
    changed = " OR ".join(f"old.{name} IS NOT new.{name}" for name in ("id", *_WATCHED))
    return [
        FTS5_TABLE,
        FTS5_WORDS,
        f"CREATE TRIGGER message_search_insert AFTER INSERT ON messages BEGIN {add} END",
        f"CREATE TRIGGER message_search_delete AFTER DELETE ON messages BEGIN {forget} END",
        f"CREATE TRIGGER message_search_update AFTER UPDATE OF id, {', '.join(_WATCHED)}"
        f" ON messages WHEN {changed} BEGIN {forget} {add} END",
        f"INSERT INTO message_search ({columns})"  # noqa: S608 - constants
        # Ids alone are sorted, as the texts would not fit into memory.
        f" SELECT {values.format(row='messages')}"
        " FROM (SELECT id FROM messages ORDER BY received_at, id) AS sorted"
        " CROSS JOIN messages ON messages.id = sorted.id",
    ]


def _postgresql(connection: BaseDatabaseWrapper) -> list[str]:
    stored = [_vector(name, "messages") for name in ("subject", "sender_text", "recipient_text")]
    return [
        *_postgresql_functions(connection),
        # The vectors lie beside the table, so that a walk over it reads few pages.
        "CREATE TABLE message_search (message_id bigint PRIMARY KEY, account_id uuid NOT NULL,"
        " place bigint NOT NULL, sender tsvector NOT NULL, recipients tsvector NOT NULL,"
        " subject tsvector NOT NULL, document tsvector NOT NULL) WITH (toast_tuple_target = 128)",
        f"INSERT INTO message_search ({_POSTGRESQL_COLUMNS})"  # noqa: S608 - constants
        f" SELECT {_postgresql_values('messages', *stored)} FROM messages",
        "CREATE INDEX message_search_by_words ON message_search USING gin"
        " (document, sender, recipients, subject) WITH (gin_pending_list_limit = 1024)",
        "CREATE INDEX message_search_newest ON message_search (account_id, place)",
        *_postgresql_triggers(),
    ]


def _postgresql_triggers() -> list[str]:
    values = _postgresql_values("new", "subject", "sender", "recipients")
    sources = ", ".join(_WATCHED)
    changed = " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in ("id", *_WATCHED))
    return [
        f"""CREATE FUNCTION message_search_follow() RETURNS trigger LANGUAGE plpgsql AS $follow$
        DECLARE
            sender tsvector;
            recipients tsvector;
            subject tsvector;
        BEGIN
            IF tg_op <> 'INSERT' THEN
                DELETE FROM message_search WHERE message_id = old.id;
            ELSIF EXISTS (SELECT FROM message_search WHERE message_id = new.id) THEN
                -- See mailboxes.search.filling.
                RETURN NULL;
            END IF;
            IF tg_op <> 'DELETE' THEN
                sender := {_vector("sender_text", "new")};
                recipients := {_vector("recipient_text", "new")};
                subject := {_vector("subject", "new")};
                INSERT INTO message_search ({_POSTGRESQL_COLUMNS}) VALUES ({values});
            END IF;
            RETURN NULL;
        END $follow$""",  # noqa: S608 - constants
        """CREATE FUNCTION message_search_forget_all() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            TRUNCATE message_search;
            RETURN NULL;
        END $$""",
        "CREATE TRIGGER message_search_insert AFTER INSERT ON messages"
        " FOR EACH ROW EXECUTE FUNCTION message_search_follow()",
        "CREATE TRIGGER message_search_delete AFTER DELETE ON messages"
        " FOR EACH ROW EXECUTE FUNCTION message_search_follow()",
        f"CREATE TRIGGER message_search_update AFTER UPDATE OF id, {sources} ON messages"
        f" FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION message_search_follow()",
        "CREATE TRIGGER message_search_truncate AFTER TRUNCATE ON messages"
        " FOR EACH STATEMENT EXECUTE FUNCTION message_search_forget_all()",
    ]


def _vector(column: str, row: str) -> str:
    return f"to_tsvector('simple', message_search_words(left({row}.{column}, {LONGEST[column]})))"


def _postgresql_values(row: str, subject: str, sender: str, recipients: str) -> str:
    seconds = f"floor(extract(epoch FROM {row}.received_at))::bigint"
    place = (
        f"(greatest(0, least({LATEST_SECOND}, {seconds})) << {ID_BITS})"
        f" | ({row}.id & {(1 << ID_BITS) - 1})"
    )
    account = f"'account:' || {row}.account_id"
    account = f"array_to_tsvector(ARRAY[{account}, {account} || ':' || (({place}) >> {SPAN_BITS})])"
    # No phrase reaches from one field into the next: a word that nobody types is between.
    fields = (subject, sender, recipients, _vector("text", row))
    everything = " || $$'|':1$$::tsvector || ".join(fields)
    return (
        f"{row}.id, {row}.account_id, {place},"
        f" {sender}, {recipients}, {subject}, {account} || {everything}"
    )


def _postgresql_functions(connection: BaseDatabaseWrapper) -> list[str]:
    unspaced = "".join(f"\\U{first:08X}-\\U{last:08X}" for first, last in UNSPACED)
    lowered = "lower(normalize(folded, NFKD)"
    lowered += ' COLLATE "und-x-icu")' if _has_icu(connection) else ")"
    return [
        f"""CREATE FUNCTION message_search_folded(content text) RETURNS text
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
        DECLARE folded text := content;
        BEGIN
            IF octet_length(folded) <> length(folded) THEN
                folded := regexp_replace(folded, '[{TYPOGRAPHY}]+', ' ', 'g');
            END IF;
            IF octet_length(folded) <> length(folded) THEN
                folded := {lowered};
                folded := regexp_replace(folded, '[\\u0300-\\u036F]+', '', 'g');
                IF folded IS NOT NFKC NORMALIZED THEN
                    folded := normalize(folded, NFKC);
                END IF;
                folded := regexp_replace(folded, '[{SIGNS}]+', ' ', 'g');
            END IF;
            RETURN {_without("folded", _PUNCTUATION)};
        END $$""",
        f"""CREATE FUNCTION message_search_words(content text) RETURNS text
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
        DECLARE folded text := message_search_folded(content);
        BEGIN
            IF octet_length(folded) = length(folded) OR folded !~ '[{unspaced}]' THEN
                RETURN folded;
            END IF;
            RETURN (
                SELECT string_agg(coalesce(part[1], ' ' || pairs || ' '), '')
                FROM regexp_matches(folded, '([^{unspaced}]+)|([{unspaced}]+)', 'g') AS part,
                LATERAL (
                    SELECT string_agg(c || coalesce(following, ''), ' ') AS pairs
                    FROM (SELECT string_to_array(part[2], NULL) AS signs) AS run,
                    LATERAL unnest(signs, signs[2:]) AS pair (c, following)
                ) AS run
            );
        END $$""",  # noqa: S608 - constants
    ]


def _without(text: str, signs: str) -> str:
    """An expression for the text with a space for each sign; far quicker than translate()."""
    for sign in signs:
        quoted = sign.replace("'", "''")
        text = f"replace({text}, '{quoted}', ' ')"
    return text


def _has_icu(connection: BaseDatabaseWrapper) -> bool:
    """Whether this PostgreSQL knows the case of all letters, whatever its locale."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'")
        return cursor.fetchone() is not None

"""What PostgreSQL knows of tables that have just begun to fill."""

from __future__ import annotations

from django.db import connection

from mailboxes.models import (
    Attachment,
    FolderEntry,
    Message,
    MessageChange,
    RawMessage,
    RawPack,
    Thread,
    ThreadKey,
)

_FILLED = (
    Attachment,
    FolderEntry,
    Message,
    MessageChange,
    RawMessage,
    RawPack,
    Thread,
    ThreadKey,
)


def count_for_the_first_time() -> None:
    """Have PostgreSQL count tables that it never looked at, as it would in its next minute.

    Without statistics each batch of a first sync reads all messages of the account: as few
    as PostgreSQL takes them for, that looks cheaper than a hundred look-ups in an index. How
    tables grow from then on it sees by itself. SQLite is told in `mailhub.sqlite_statistics`.
    """
    if connection.vendor != "postgresql":
        return
    names = [model._meta.db_table for model in _FILLED]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE oid = ANY(%s::regclass[]) AND reltuples < 0",
            [names],
        )
        unknown = [name for (name,) in cursor.fetchall()]
        if unknown:
            cursor.execute(f"ANALYZE {', '.join(map(connection.ops.quote_name, unknown))}")

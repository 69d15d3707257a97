"""Tables that are filled at once: their indexes are made at the end, by sorting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.models import Model

# Before and after; foreign keys are compared row by row otherwise.
_SQLITE = (
    ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"),
    ("PRAGMA synchronous = OFF", "PRAGMA synchronous = NORMAL"),
)
_POSTGRESQL = (
    ("SET session_replication_role = replica", "SET session_replication_role = DEFAULT"),
    ("SET maintenance_work_mem = '1GB'", "SELECT 1"),
)


@contextmanager
def without_indexes(*models: type[Model]) -> Iterator[None]:
    """Drop the models' indexes that are no constraint, and make them anew at the end."""
    names = [model._meta.db_table for model in models]
    switches = _SQLITE if connection.vendor == "sqlite" else _POSTGRESQL
    with connection.cursor() as cursor:
        for off, _ in switches:
            cursor.execute(off)
        indexes = _indexes(names)
        for name in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
    yield
    with connection.cursor() as cursor:
        for definition in indexes.values():
            cursor.execute(definition)
        for _, on in switches:
            cursor.execute(on)


def _indexes(tables: list[str]) -> dict[str, str]:
    """Names and definitions."""
    places = ", ".join(["%s"] * len(tables))
    if connection.vendor == "sqlite":
        query = (
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            f" AND tbl_name IN ({places})"
        )
    else:
        query = (
            f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ({places})"
            " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexname::regclass)"
        )
    with connection.cursor() as cursor:
        cursor.execute(query, tables)
        return dict(cursor.fetchall())

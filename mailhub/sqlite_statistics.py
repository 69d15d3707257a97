"""Tells SQLite's planner how large mailhub's tables become, before they are.

Without statistics SQLite takes ten rows for each value of an index's first column. Then "the
messages of this account with one of these hundred ids" looks cheaper by the account than by
the ids, and reads every message of the account; so does each batch of a sync, and each new
mail in a large mailbox. ANALYZE knows what is there when it runs, which is nothing at all
before a first sync. So the figures of a large installation are written down instead, as
https://www.sqlite.org/optoverview.html ("Manual control of query plans using SQLITE_STAT
tables") describes: a plan that suits many rows does no harm to few.

A row of sqlite_stat1 says of an index how many rows it has, then how many of them share the
value of its first column, of its first two, and so on.
"""

from __future__ import annotations

from typing import Any, Final

from django.apps import AppConfig
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Field, ForeignKey, Model

_ROWS: Final = 1_000_000
# How many rows of another table belong to one row of these; to one of any other, a few.
_CHILDREN: Final = {
    "tenants": 200_000,
    "users": 100_000,
    "email_accounts": 100_000,
    "folders": 20_000,
    "campaigns": 50_000,
    "contact_lists": 50_000,
    "import_jobs": 1_000,
    "outbox_lanes": 1_000,
    "event_webhooks": 1_000,
    "raw_packs": 100,
    "watchers": 100,
}
_FEW: Final = 5


def tell_planner(sender: AppConfig, using: str, **_: Any) -> None:
    """A receiver of `post_migrate`: write the figures of one app's tables."""
    connection = connections[using]
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        # Makes the table of statistics where there is none.
        cursor.execute("ANALYZE sqlite_master")
        for model in sender.get_models():
            table = model._meta.db_table
            rows = _statistics(connection, model)
            cursor.execute("DELETE FROM sqlite_stat1 WHERE tbl = %s", [table])
            cursor.executemany(
                "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (%s, %s, %s)",
                [(table, index, stat) for index, stat in rows.items()],
            )
        # Has this connection read them; others do when they are opened.
        cursor.execute("ANALYZE sqlite_master")


def _statistics(connection: BaseDatabaseWrapper, model: type[Model]) -> dict[str, str]:
    """What is told of each index of the model's table, by its name."""
    fields = {field.column: field for field in model._meta.concrete_fields}
    found: dict[str, str] = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, [unique] FROM pragma_index_list(%s)", [model._meta.db_table])
        for name, is_unique in cursor.fetchall():
            cursor.execute("SELECT name FROM pragma_index_info(%s) ORDER BY seqno", [name])
            columns = [fields.get(column) for (column,) in cursor.fetchall()]
            found[name] = _figures(columns, is_unique=bool(is_unique))
    return found


def _figures(columns: list[Field[Any, Any] | None], *, is_unique: bool) -> str:
    figures = [_ROWS]
    for column in columns:
        figures.append(_alike(column, figures[-1]))
    if is_unique:
        figures[-1] = 1
    return " ".join(map(str, figures))


def _alike(column: Field[Any, Any] | None, rows: int) -> int:
    """How many of so many rows share a value of this column; None is an expression."""
    if isinstance(column, ForeignKey):
        return min(rows, _CHILDREN.get(column.related_model._meta.db_table, _FEW))
    if isinstance(column, BooleanField) or (column is not None and column.choices):
        return max(1, rows // 4)
    return min(rows, _FEW)

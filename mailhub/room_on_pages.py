"""Room on each page of a table of PostgreSQL for the next version of every row that is on it.

PostgreSQL writes a changed row anew. Where there is room beside the old one and no column of an
index has changed, no index is written ("heap-only tuples"), and these are most of what a change
costs. A campaign changes all rows of a page within one transaction, so half of each stays free;
without that a table grows to the same size, and its indexes with it.
Source: https://www.postgresql.org/docs/current/storage-hot.html
"""

from __future__ import annotations

from typing import Any

from django.db.migrations import RunPython


def leave_room(table: str) -> RunPython:
    """The operation of a migration; does nothing on SQLite, which changes a row in its place."""

    def _alter(schema_editor: Any, change: str) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"ALTER TABLE {table} {change}")

    return RunPython(
        lambda _, schema_editor: _alter(schema_editor, "SET (fillfactor = 50)"),
        lambda _, schema_editor: _alter(schema_editor, "RESET (fillfactor)"),
    )

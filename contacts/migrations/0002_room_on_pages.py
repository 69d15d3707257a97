"""Room on each page of PostgreSQL's table for the next version of every row on it.

A campaign writes into each contact that it was sent. Where the new version finds room beside
the old one, none of the indexes is written ("heap-only tuples"), which is four fifths of such
an update. A campaign to everybody changes all rows of a page at once, so half of it stays free;
without that the table grows to the same size, and its indexes with it.
Source: https://www.postgresql.org/docs/current/storage-hot.html
"""

from typing import Any

from django.db import migrations


def _leave_room(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE contacts SET (fillfactor = 50)")


def _fill(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE contacts RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [("contacts", "0001_initial")]

    operations = [migrations.RunPython(_leave_room, _fill)]

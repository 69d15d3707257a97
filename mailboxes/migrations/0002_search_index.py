"""The full-text index of messages, which no model knows."""

from typing import Any

from django.db import migrations

from mailboxes.search.index import create_index, remove_index


def _create(apps: Any, schema_editor: Any) -> None:
    create_index(schema_editor.connection)


def _remove(apps: Any, schema_editor: Any) -> None:
    remove_index(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0001_initial")]

    operations = [migrations.RunPython(_create, _remove)]

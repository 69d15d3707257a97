"""The triggers that count deliveries, which no model knows."""

from typing import Any

from django.db import migrations

from campaigns.tallies import create_tallies, remove_tallies


def _create(apps: Any, schema_editor: Any) -> None:
    create_tallies(schema_editor.connection)


def _remove(apps: Any, schema_editor: Any) -> None:
    remove_tallies(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0001_initial")]

    operations = [migrations.RunPython(_create, _remove)]

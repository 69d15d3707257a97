"""The triggers that count deliveries and look after their keys, which no model knows."""

from typing import Any

from django.db import migrations

from campaigns.delivery_keys import create_delivery_keys, remove_delivery_keys
from campaigns.tallies import create_tallies, remove_tallies


def _create(apps: Any, schema_editor: Any) -> None:
    create_tallies(schema_editor.connection)
    create_delivery_keys(schema_editor.connection)


def _remove(apps: Any, schema_editor: Any) -> None:
    remove_delivery_keys(schema_editor.connection)
    remove_tallies(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0001_initial")]

    operations = [migrations.RunPython(_create, _remove)]

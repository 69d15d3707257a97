"""Many rows written at once, without an object of a model for each.

A sync writes a dozen rows a message. Made as model instances they cost more than parsing
the message does; as tuples, prepared once a column, they cost little beside the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from django.db import connection
from django.db.models import DateTimeField, Field, ForeignKey, JSONField, Model, UUIDField

Values = Sequence[Any]
_Prepare = Callable[[Any], object]
_ENCODER = json.JSONEncoder()
# SQLite takes 32,766 in one statement.
_MOST_VALUES = 30_000


def take_ids(model: type[Model], count: int) -> Sequence[int]:
    """So many ids that no row of the model has or will have, ascending.

    Part of the transaction that writes the rows: on SQLite its being the only writer keeps
    anybody else from taking the same.
    """
    if not count:
        return ()
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # AUTOINCREMENT remembers here the highest id there ever was.
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
            row = cursor.fetchone()
            last = row[0] if row else 0
            return range(last + 1, last + 1 + count)
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [table, count],
        )
        return [row[0] for row in cursor.fetchall()]


def insert_rows(
    model: type[Model],
    names: Sequence[str],
    rows: Iterable[Values],
    *,
    ignore_conflicts: bool = False,
) -> None:
    """Insert rows whose values are in the order of these fields (by `attname`).

    Fields that are not named have the model's default in all rows.
    """
    fields = [_field(model, name) for name in names]
    others = [
        field
        for field in model._meta.concrete_fields
        if field.has_default() and field not in fields
    ]
    constants = [field.get_default() for field in others]
    fields += others
    prepared = _prepared(fields, ((*row, *constants) for row in rows))
    if not prepared:
        return
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column or field.attname) for field in fields)
    place = f"{quote(model._meta.db_table)} ({columns})"
    if connection.vendor == "sqlite":
        verb = "INSERT OR IGNORE" if ignore_conflicts else "INSERT"
        _insert_in_parts(f"{verb} INTO {place}", prepared)
    elif ignore_conflicts:
        _insert_what_is_new(place, fields, prepared)
    else:
        with (
            connection.cursor() as cursor,
            cast(Any, cursor).copy(f"COPY {place} FROM STDIN") as copy,
        ):
            for row in prepared:
                copy.write_row(row)


def _insert_in_parts(insert: str, rows: Sequence[Values]) -> None:
    """The index of words is flushed at the end of every statement: as few as there may be."""
    width = len(rows[0])
    places = f"({', '.join(['%s'] * width)})"
    at_once = _MOST_VALUES // width
    with connection.cursor() as cursor:
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            cursor.execute(
                f"{insert} VALUES {', '.join([places] * len(some))}",
                [value for values in some for value in values],
            )


def _insert_what_is_new(
    place: str, fields: Sequence[Field[Any, Any]], rows: Sequence[Values]
) -> None:
    arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {place} SELECT * FROM unnest({arrays})"  # noqa: S608 - names of our own tables
            " ON CONFLICT DO NOTHING",
            [list(values) for values in zip(*rows, strict=True)],
        )


def _field(model: type[Model], name: str) -> Field[Any, Any]:
    return next(field for field in model._meta.concrete_fields if field.attname == name)


def _prepared(fields: Sequence[Field[Any, Any]], rows: Iterable[Values]) -> list[Values]:
    """The rows as the database takes them; a column that needs nothing costs nothing."""
    preparing = [
        (place, prepare)
        for place, prepare in enumerate(map(_preparation, fields))
        if prepare is not None
    ]
    prepared: list[Values] = []
    for row in rows:
        values = list(row)
        for place, prepare in preparing:
            if values[place] is not None:
                values[place] = prepare(values[place])
        prepared.append(values)
    return prepared


def _preparation(field: Field[Any, Any]) -> _Prepare | None:
    if isinstance(field, JSONField):
        return _json
    if connection.vendor == "sqlite":
        if isinstance(field, DateTimeField):
            return _moment
        if _holds_uuid(field):
            return lambda value: value.hex
    return None


def _json(value: Any) -> str:
    """A text is JSON already."""
    if isinstance(value, str):
        return value
    if value:
        return _ENCODER.encode(value)
    return "{}" if isinstance(value, dict) else "[]"


def _moment(value: datetime) -> str:
    """As Django writes it on SQLite: in UTC, without saying so."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def _holds_uuid(field: Field[Any, Any]) -> bool:
    target = field.target_field if isinstance(field, ForeignKey) else field
    return isinstance(target, UUIDField)

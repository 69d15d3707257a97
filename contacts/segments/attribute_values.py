"""An attribute of a contact as a column: its text, its number, its day.

Written out for each database, for the two know JSON in different words. A file's numbers
are stored as text, so `41` and `"41"` are the same here.
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func
from django.db.models.expressions import Combinable
from django.db.models.sql.compiler import SQLCompiler

_UNICODE_LOWER = "unicode_lower"
_TEXT_AS_NUMBER = "text_as_number"
# Of more digits PostgreSQL makes no number: one contact's would stop the whole question.
_MOST_DIGITS = 100
_NUMBER = rf"^[-+]?[0-9]{{0,{_MOST_DIGITS}}}\.?[0-9]{{1,{_MOST_DIGITS}}}$"
_DAY = r"^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
# GLOB knows no repetitions.
_IS_DAY_IN_SQLITE = "{value} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'"


class _Attribute(Func):
    """What lies under a key of `attributes`, in the form that a subclass gives it.

    In the templates `{value}` is the value as text, `{type}` SQLite's word for its type.
    """

    on_sqlite: str
    on_postgresql: str

    def __init__(self, key: str, **extra: Any) -> None:
        super().__init__(F("attributes"), **extra)
        self.key = key

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, tuple[Any, ...]]:
        return self._filled(self.on_sqlite, compiler, f"$.{json.dumps(self.key)}")

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, tuple[Any, ...]]:
        return self._filled(self.on_postgresql, compiler, self.key)

    def _filled(
        self, template: str, compiler: SQLCompiler, key: str
    ) -> tuple[str, tuple[Any, ...]]:
        column, _ = compiler.compile(self.get_source_expressions()[0])
        sql = template.format(value=f"({column} ->> %s)", type=f"json_type({column}, %s)")
        return sql, (key,) * sql.count("%s")


class AttributeText(_Attribute):
    """Its text; "" where there is none, `true` and `false` for these."""

    output_field = models.TextField()
    on_sqlite = (
        "coalesce(CASE {type} WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' "
        "ELSE CAST({value} AS text) END, '')"
    )
    on_postgresql = "coalesce({value}, '')"


class AttributeNumber(_Attribute):
    """Its number; null where it is none."""

    output_field = models.FloatField()
    on_sqlite = f"{_TEXT_AS_NUMBER}({{value}})"
    on_postgresql = (
        "CASE WHEN {value} ~ '" + _NUMBER.replace("{", "{{").replace("}", "}}") + "'"
        " THEN CAST({value} AS double precision) END"
    )


class AttributeDay(_Attribute):
    """Its day as ISO 8601 text; null where it does not begin with one."""

    output_field = models.TextField()
    on_sqlite = f"CASE WHEN {_IS_DAY_IN_SQLITE} THEN substr({{value}}, 1, 10) END"
    on_postgresql = (
        f"(CASE WHEN {{value}} ~ '{_DAY}' THEN substr({{value}}, 1, 10) END) COLLATE \"C\""
    )


class Lowered(Func):
    """A text without case, to be compared with `other`.

    Either database knows by itself the lower case of ASCII alone, or of its locale's letters.
    Where `other` has none but ASCII, that is enough, and quicker.
    """

    output_field = models.TextField()

    def __init__(self, text: Combinable | str, *, other: str, **extra: Any) -> None:
        super().__init__(text, **extra)
        self._is_plain = other.isascii()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, Any]:
        function = "lower" if self._is_plain else _UNICODE_LOWER
        return self.as_sql(compiler, connection, function=function)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, Any]:
        template = "lower(%(expressions)s)"
        if not self._is_plain:
            template = 'lower((%(expressions)s) COLLATE "und-x-icu")'
        return self.as_sql(compiler, connection, template=template)


def register_functions(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """For Django's signal `connection_created`: what SQLite does not know by itself."""
    if connection.vendor == "sqlite":
        functions = {_UNICODE_LOWER: _lower, _TEXT_AS_NUMBER: _as_number}
        for name, function in functions.items():
            connection.connection.create_function(name, 1, function, deterministic=True)


def _lower(text: object) -> str:
    return str(text).lower()


def _as_number(value: object) -> float | None:
    if isinstance(value, str):
        return float(value) if _is_number(value) else None
    if isinstance(value, int | float) and abs(value) < _LARGEST_NUMBER:
        return float(value)
    return None


_is_number = re.compile(_NUMBER).fullmatch
_LARGEST_NUMBER = 10.0 ** (2 * _MOST_DIGITS)

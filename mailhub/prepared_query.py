"""A query whose SQL is written once: for what is asked with every request.

Django writes the SQL of a queryset each time it is asked, which takes several times as long as
a database takes to answer by a key. A `PreparedQuery` keeps what was written, and is given the
values of the `Parameter`s that stand in its queryset.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.query import ModelIterable
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

Row = TypeVar("Row", bound=Model)


class Parameter(Expression):
    """A value of the kind that `output_field` holds, given when the query is asked."""

    def __init__(self, name: str, output_field: Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)

    def among(self, values: Mapping[str, Any], connection: BaseDatabaseWrapper) -> Any:
        """Its own of these, as the database takes it. Raises KeyError where it is missing."""
        return self.output_field.get_db_prep_value(values[self.name], connection)


class PreparedQuery(Generic[Row]):
    """Rows of a model, with what its queryset annotates and selects beside them.

    `make` builds the queryset once in each thread. What it does not name as a parameter stays
    as it was then.
    """

    def __init__(self, make: Callable[[], QuerySet[Row]]) -> None:
        self._make = make
        self._mine = threading.local()

    def rows(self, **values: Any) -> list[Row]:
        """The rows for these values, one by the name of each parameter."""
        queryset, compiler = self._written()
        compiler.values = values
        return list(ModelIterable(queryset))

    def first(self, **values: Any) -> Row | None:
        """The first of the rows; None where there is none."""
        rows = self.rows(**values)
        return rows[0] if rows else None

    def _written(self) -> tuple[QuerySet[Row], _WrittenCompiler]:
        kept: tuple[QuerySet[Row], _WrittenCompiler] | None = getattr(self._mine, "written", None)
        if kept is None or kept[1].connection is not connections[kept[0].db]:
            queryset = self._make()
            compiler = _WrittenCompiler(queryset.query, connections[queryset.db], queryset.db)
            queryset.query.get_compiler = lambda **_: compiler  # type: ignore[method-assign]
            kept = self._mine.written = queryset, compiler
        return kept


class _WrittenCompiler(SQLCompiler):
    """Writes its SQL as it is made; `values` are those that it is asked with next."""

    def __init__(self, query: Query, connection: BaseDatabaseWrapper, using: str) -> None:
        super().__init__(query, connection, using)
        self.values: Mapping[str, Any] = {}
        self._parameters: tuple[Any, ...]
        self._sql, self._parameters = super().as_sql()
        self._converters = super().get_converters([each[0] for each in self.select or ()])

    def as_sql(self, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        return self._sql, tuple(
            each.among(self.values, self.connection) if isinstance(each, Parameter) else each
            for each in self._parameters
        )

    def get_converters(self, expressions: Any) -> Any:
        return self._converters

"""Text as people search for it: without case, without accents, from its beginning."""

from __future__ import annotations

import unicodedata
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import BuiltinLookup
from django.db.models.sql.compiler import SQLCompiler

_LAST_CHARACTER = "\U0010ffff"


def fold(text: str) -> str:
    """The text without case and accents: `Özil` and `OZIL` both become `ozil`."""
    if text.isascii():
        return text.lower()
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()


def caseless(text: str) -> str:
    """The text without case alone: `Straße` and `STRASSE` both become `strasse`."""
    return unicodedata.normalize("NFKC", text.casefold())


class FoldedTextField(models.CharField):  # type: ignore[type-arg]  # not subscriptable at runtime
    """Follows another field of the row: its text, folded, cut to this field's length."""

    def __init__(self, *, source: str, **options: Any) -> None:
        self.source = source
        super().__init__(**{"editable": False, "blank": True, "default": "", **options})

    def deconstruct(self) -> Any:
        name, path, positional, options = super().deconstruct()
        return name, path, positional, {**options, "source": self.source}

    def folded(self, text: str) -> str:
        """What this field holds where its source holds `text`."""
        return fold(text)[: self.max_length]

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        folded = self.folded(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, folded)
        return folded


class CaselessTextField(FoldedTextField):
    """Follows another field of the row: its text without case alone, the same on each database.

    To hold a name once, however it is written.
    """

    def folded(self, text: str) -> str:
        return caseless(text)[: self.max_length]


@models.CharField.register_lookup
class Prefix(BuiltinLookup):
    """`name__prefix="an"`: what `startswith` asks, in a form that an index answers.

    SQLite compares by code points, so a prefix is a range there. PostgreSQL needs an
    index with the operator class varchar_pattern_ops.
    """

    lookup_name = "prefix"

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any, ...]]:
        column, column_params = self.process_lhs(compiler, connection)
        text = str(self.rhs)
        if connection.vendor == "sqlite":
            bounds = (text, text + _LAST_CHARACTER)
            return f"({column} >= %s AND {column} < %s)", (
                *column_params,
                bounds[0],
                *column_params,
                bounds[1],
            )
        escaped = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        return f"{column} LIKE %s", (*column_params, f"{escaped}%")

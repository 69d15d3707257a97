"""Resealing every secret under the newest encryption key.

Works through each table in batches of short transactions. A secret that the newest key
seals already is passed over, so an interrupted run goes on where it stopped; a secret
that changes meanwhile is left alone, since whoever changed it sealed it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models, transaction

from mailhub.encryption import Sealed, SealedField, SecretUnreadable

_BATCH = 100


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One encrypted column of one table."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.name}"

    def count(self) -> int:
        """How many secrets it holds."""
        return self._rows().count()

    def reseal(self) -> Iterator[list[Any]]:
        """Reseal batch by batch; yields each batch as (primary key, whether it opened)."""
        after = None
        while True:
            rows = self._rows().order_by("pk")
            if after is not None:
                rows = rows.filter(pk__gt=after)
            batch = list(rows.values_list("pk", self.name)[:_BATCH])
            if not batch:
                return
            yield self._reseal_batch(batch)
            after = batch[-1][0]

    def _reseal_batch(self, batch: list[tuple[Any, Sealed]]) -> list[tuple[Any, bool]]:
        outcomes: list[tuple[Any, bool]] = []
        fresh: list[tuple[Any, Sealed, Sealed]] = []
        for pk, sealed in batch:
            try:
                if not sealed.is_current:
                    fresh.append((pk, sealed, sealed.rotated()))
            except SecretUnreadable:
                outcomes.append((pk, False))
            else:
                outcomes.append((pk, True))
        with transaction.atomic():
            for pk, old, new in fresh:
                unchanged = self._rows().filter(**{"pk": pk, self.name: old})
                unchanged.update(**{self.name: new})
        return outcomes

    def _rows(self) -> models.QuerySet[Any]:
        return self.model._base_manager.exclude(**{self.name: Sealed("")})


def sealed_columns() -> list[SealedColumn]:
    """Every encrypted column of the installation."""
    return [
        SealedColumn(model, field.name)
        for model in apps.get_models()
        for field in model._meta.local_concrete_fields
        if isinstance(field, SealedField)
    ]

"""A process that watches mailboxes: alive while it says so."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models.functions import Now

# A watcher says every few seconds that it lives.
SILENT_FOR = timedelta(seconds=15)


class WatcherQuerySet(models.QuerySet["Watcher"]):
    def gone(self) -> Self:
        """Those that have been silent for so long that others take their accounts."""
        return self.filter(renewed_at__lt=Now() - SILENT_FOR)

    def alive(self) -> Self:
        """The others."""
        return self.filter(renewed_at__gte=Now() - SILENT_FOR)


class Watcher(models.Model):
    """`process` is its machine and number, for people. Times are the database's own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    process = models.CharField(max_length=100)
    renewed_at = models.DateTimeField(db_default=Now())

    objects = WatcherQuerySet.as_manager()

    class Meta:
        db_table = "watchers"

    def __str__(self) -> str:
        return self.process

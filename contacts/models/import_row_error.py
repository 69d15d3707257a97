"""A row of an imported file that could not become a contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models

from contacts.models.import_job import ImportJob

if TYPE_CHECKING:
    from accounts.caller import Caller

LONGEST_TEXT = 2000


class ImportRowErrorQuerySet(models.QuerySet["ImportRowError"]):
    def for_caller(self, caller: Caller) -> Self:
        """Those of the caller's tenant."""
        return self.filter(job__tenant_id=caller.tenant.pk)


class ImportRowError(models.Model):
    """`line` counts the file's lines from 1; `text` is the row as it stood, cut at 2,000."""

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        ImportJob, on_delete=models.CASCADE, related_name="row_errors", db_index=False
    )
    line = models.PositiveBigIntegerField()
    text = models.TextField(blank=True)
    reason = models.CharField(max_length=300)

    objects = ImportRowErrorQuerySet.as_manager()

    class Meta:
        db_table = "import_row_errors"
        indexes = [models.Index(fields=["job", "id"], name="import_row_error_of_job")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"

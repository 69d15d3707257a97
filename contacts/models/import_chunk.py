"""A piece of an uploaded file, kept in the database until the import has ended.

In the database, because the machine that imports need not be the one that received.
"""

from __future__ import annotations

from django.db import models

from contacts.models.import_job import ImportJob


class ImportChunk(models.Model):
    """`content` is compressed (zlib); `offset` is where its first byte lies in the file.

    `is_workbook`: a piece of the workbook itself, not of the rows that are read from it.
    """

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(
        ImportJob, on_delete=models.CASCADE, related_name="chunks", db_index=False
    )
    is_workbook = models.BooleanField(default=False)
    offset = models.BigIntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "import_chunks"
        constraints = [
            models.UniqueConstraint(
                fields=["job", "is_workbook", "offset"], name="import_chunk_place"
            )
        ]

    def __str__(self) -> str:
        return f"byte {self.offset} of {self.job_id}"

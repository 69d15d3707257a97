"""The content of a file that goes with messages, held once however many name it."""

from __future__ import annotations

from django.db import models

from accounts.scope import TenantOwned


class StoredFile(TenantOwned):
    """`digest` is the SHA-256 of the content in hexadecimal; `content` is as decoded.

    `used_at` is when somebody last attached it: one that nothing names any more goes a day
    after that.
    """

    tenant = models.ForeignKey(
        "accounts.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    digest = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    content = models.BinaryField()
    used_at = models.DateTimeField()

    class Meta:
        db_table = "campaign_files"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "digest"], name="file_once_in_tenant")
        ]

    def __str__(self) -> str:
        return self.digest[:12]

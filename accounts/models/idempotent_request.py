"""The first answer to a request with an Idempotency-Key, kept for a day."""

from __future__ import annotations

from django.db import models

from accounts.models.user import User
from accounts.scope import TenantOwned


class IdempotentRequest(TenantOwned):
    """`digest` is of method, path and body. `status` is 0 while the first one runs.

    `answer` never holds a secret.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=256)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        db_table = "idempotent_requests"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "user", "key"], name="one_request_an_idempotency_key"
            )
        ]

    def __str__(self) -> str:
        return self.key

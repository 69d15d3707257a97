"""An address that a person lets campaigns write to again: to be told to Amazon SES."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.scope import TenantOwned, TenantQuerySet


class LiftedSuppression(TenantOwned):
    """It stays until the suppression lists of all the tenant's accounts of SES are without it.

    `due_at` is when to try that again.
    """

    id = models.BigAutoField(primary_key=True)
    email = models.EmailField(max_length=254)
    lifted_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)

    objects = TenantQuerySet.as_manager()

    class Meta:
        db_table = "lifted_suppressions"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "email"], name="one_lifting_an_address")
        ]

    def __str__(self) -> str:
        return self.email

"""Tenant scoping, in one place.

Every model that belongs to a tenant extends `TenantOwned`; its manager's
`for_caller(caller)` is the only way in for a request. A model whose rows belong to one
user of the tenant (mail) overrides `for_caller` in its own queryset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from django.db import models

if TYPE_CHECKING:
    from accounts.caller import Caller

Row = TypeVar("Row", bound=models.Model)


class TenantQuerySet(models.QuerySet[Row]):
    """Rows of tenants, narrowed to what a caller may see."""

    def for_caller(self, caller: Caller) -> Self:
        """The rows that this caller may see at all; what it may do is asked elsewhere."""
        return self.filter(tenant_id=caller.tenant.pk)


class TenantOwned(models.Model):
    """A row that belongs to one tenant and goes with it."""

    tenant = models.ForeignKey("accounts.Tenant", on_delete=models.CASCADE, related_name="+")

    class Meta:
        abstract = True

"""Tenant scoping, in one place.

Every model that belongs to a tenant extends `TenantOwned`; its manager's
`for_caller(caller)` is the only way in for a request. A model whose rows belong to one
user of the tenant (mail) overrides `for_caller` in its own queryset.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from django.db import models

from mailhub.prepared_query import Parameter, PreparedQuery

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


class PreparedForCaller(Generic[Row]):
    """A prepared query of the rows that a caller may see, which `narrow` narrows further.

    For models of which a caller's tenant alone says who may see a row.
    """

    def __init__(
        self,
        rows: TenantQuerySet[Row],
        narrow: Callable[[TenantQuerySet[Row]], models.QuerySet[Row]],
    ) -> None:
        self._query = PreparedQuery(lambda: narrow(rows.for_caller(_WHOEVER_CALLS)))

    def first(self, caller: Caller, **values: Any) -> Row | None:
        """The first row of the caller's for these values; None where there is none."""
        return self._query.first(tenant=caller.tenant.pk, **values)


# Of it only the tenant can be asked for: what looks at more of a caller cannot be prepared.
_WHOEVER_CALLS = cast(
    "Caller", SimpleNamespace(tenant=SimpleNamespace(pk=Parameter("tenant", models.UUIDField())))
)

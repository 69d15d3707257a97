"""What is left of a person whose data was erased: enough to know the address by, if it comes back.

The digest is keyed with SECRET_KEY, so that a stolen table alone cannot be tested against
guesses. Where the address comes back, by an import for example, it is suppressed by name.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.db import models

from accounts.models import Tenant
from accounts.scope import TenantOwned, TenantQuerySet


def digest_address(tenant_id: UUID, email: str) -> str:
    """The keyed digest (HMAC-SHA256, hex) of a normalised address, another in each tenant."""
    text = f"mailhub.erased:{tenant_id}:{email}"
    return hmac.new(settings.SECRET_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


class ErasedAddressQuerySet(TenantQuerySet["ErasedAddress"]):
    def among(self, tenant_id: UUID, emails: Iterable[str]) -> list[str]:
        """Those of these addresses whose data was erased once."""
        erased = self.filter(tenant_id=tenant_id)
        if not erased.exists():
            return []
        digests = {digest_address(tenant_id, email): email for email in emails}
        found = erased.filter(digest__in=digests).values_list("digest", flat=True)
        return [digests[digest] for digest in found]


class ErasedAddress(TenantOwned):
    """One address that no campaign writes to, and that nobody can read here."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ErasedAddressQuerySet.as_manager()

    class Meta:
        db_table = "erased_addresses"
        verbose_name_plural = "erased addresses"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "digest"], name="erased_address_in_tenant")
        ]

    def __str__(self) -> str:
        return f"{self.digest[:8]}…"

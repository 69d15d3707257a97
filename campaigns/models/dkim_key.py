"""The key with which a tenant's bulk mail from a domain is signed (DKIM, RFC 6376)."""

from __future__ import annotations

from django.db import models

from accounts.scope import TenantOwned, TenantQuerySet
from mailhub.encryption import Sealed, SealedField


class DkimKey(TenantOwned):
    """`public_key` is what stands in DNS at `SELECTOR._domainkey.DOMAIN`, as its p= has it.

    The private key is sealed for this row and never shown.
    """

    id = models.BigAutoField(primary_key=True)
    domain = models.CharField(max_length=253)
    selector = models.CharField(max_length=63)
    private_key = SealedField()
    public_key = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        db_table = "dkim_keys"
        verbose_name = "DKIM key"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "domain"], name="one_dkim_key_a_domain")
        ]

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def dns_value(self) -> str:
        """The text of the TXT record at `str(key)` (RFC 6376 section 3.6.1)."""
        return f"v=DKIM1; k=rsa; p={self.public_key}"

    def keep_private_key(self, pem: str) -> None:
        """Seal it for this row; the caller saves."""
        self.private_key = Sealed.seal(pem, self.binding)

    def reveal_private_key(self) -> str:
        """In PEM. Raises SecretUnreadable."""
        return str(self.private_key.reveal(self.binding))

    @property
    def binding(self) -> str:
        """The name of the row inside its own plaintext."""
        return f"{self.tenant_id}:dkim_keys:{self.domain}"

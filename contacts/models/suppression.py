"""An address that no campaign of the tenant may write to, whatever a list says."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from accounts.models import EmailAccount, Tenant
from accounts.scope import TenantOwned, TenantQuerySet
from contacts.models.erased_address import ErasedAddress
from contacts.models.lifted_suppression import LiftedSuppression


class SuppressionReason(models.TextChoices):
    """Why an address is suppressed."""

    MANUAL = "manual"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    ERASED = "erased"


class SuppressionQuerySet(TenantQuerySet["Suppression"]):
    def suppress(
        self,
        tenant: Tenant,
        emails: Iterable[str],
        reason: SuppressionReason = SuppressionReason.MANUAL,
    ) -> None:
        """Suppress these addresses (normalised); one that already is keeps its reason."""
        now = timezone.now()
        rows = [
            Suppression(tenant=tenant, email=email, reason=reason, created_at=now)
            for email in sorted(set(emails))
        ]
        self.bulk_create(rows, ignore_conflicts=True, batch_size=200)

    def lift(self) -> int:
        """A person lets campaigns write to these again; SES is told later. How many they were."""
        with transaction.atomic():
            rows = list(self.values_list("tenant_id", "email"))
            at_ses = EmailAccount.objects.exclude(ses_region="").filter(
                tenant__in={tenant for tenant, _ in rows}
            )
            tenants = set(at_ses.values_list("tenant_id", flat=True))
            LiftedSuppression.objects.bulk_create(
                [
                    LiftedSuppression(tenant_id=tenant, email=email)
                    for tenant, email in rows
                    if tenant in tenants
                ],
                ignore_conflicts=True,
                batch_size=200,
            )
            return self.delete()[0]

    def suppress_erased(self, tenant_id: UUID, emails: Iterable[str]) -> None:
        """These addresses come in: suppress those whose data was erased once."""
        known = ErasedAddress.objects.among(tenant_id, emails)
        if known:
            self.suppress(Tenant(pk=tenant_id), known, SuppressionReason.ERASED)


class Suppression(TenantOwned):
    """`email` is stored as `contacts.addresses.normalise_email` gives it."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    email = models.EmailField(max_length=254)
    reason = models.CharField(
        max_length=12, choices=SuppressionReason.choices, default=SuppressionReason.MANUAL
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SuppressionQuerySet.as_manager()

    class Meta:
        db_table = "suppressions"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                opclasses=("uuid_ops", "varchar_pattern_ops"),
                name="suppression_email_in_tenant",
            )
        ]
        indexes = [models.Index(fields=["tenant", "id"], name="suppression_newest")]

    def __str__(self) -> str:
        return self.email

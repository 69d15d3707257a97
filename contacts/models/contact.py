"""A person whom the tenant may write to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, F, Func, OuterRef, Q
from django.db.models.lookups import Exact
from django.db.models.sql.compiler import SQLCompiler

from accounts.models import Tenant
from accounts.scope import TenantOwned, TenantQuerySet
from contacts.models.folded_text import FoldedTextField, fold
from contacts.models.suppression import Suppression

LONGEST_NAME = 200
# PostgreSQL serves prefixes only by this operator class; SQLite ignores it.
_BY_PREFIX = ("uuid_ops", "varchar_pattern_ops")
_LARGE = 20_000


class ContactStatus(models.TextChoices):
    """Whether campaigns may write to a person, and if not, why."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class Unindexed(Func):
    """A column as SQLite does not find it in any index; elsewhere just the column."""

    arity = 1
    template = "%(expressions)s"
    output_field = models.UUIDField()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="+%(expressions)s")


class ContactQuerySet(TenantQuerySet["Contact"]):
    def mailable(self, tenant: Tenant) -> Self:
        """Whom a campaign of this tenant may write to: subscribed, and not suppressed."""
        suppressed = Suppression.objects.filter(
            tenant_id=OuterRef("tenant_id"), email=OuterRef("email")
        )
        return self.filter(~Exists(suppressed), tenant=tenant, status=ContactStatus.SUBSCRIBED)

    def sweep(self, tenant: Tenant) -> Self:
        """All of a tenant's contacts, for a question that reads most of them.

        SQLite would look up each by the index that begins with the tenant, at ten times the
        cost of reading the table from its beginning to its end.
        """
        own = self.filter(tenant=tenant)
        is_large = own.order_by()[_LARGE : _LARGE + 1].exists()
        return self.filter(Exact(Unindexed("tenant"), tenant.pk)) if is_large else own

    def search(self, text: str) -> Self:
        """Those for whom each word of the text begins the address, first or last name."""
        if "\0" in text:  # PostgreSQL takes no such parameter; nothing stored holds one
            return self.none()
        found = self
        for word in text.split():
            folded = fold(word)
            found = found.filter(
                Q(email__prefix=word.lower())
                | Q(first_name_folded__prefix=folded)
                | Q(last_name_folded__prefix=folded)
            )
        return found

    def note_mailing(self, contact_ids: Sequence[int], campaign: str, sent_at: datetime) -> int:
        """Remember that each of these contacts was sent this campaign; how many exist.

        An id counts once, however often it is given.
        """
        return self.filter(pk__among=sorted(set(contact_ids))).update(
            last_email_sent=sent_at, last_campaign=campaign, email_count=F("email_count") + 1
        )


class Contact(TenantOwned):
    """`email` is stored as `contacts.addresses.normalise_email` gives it.

    `attributes` is a JSON object of the tenant's own making. `last_campaign` is the id of
    the newest campaign that was sent, `email_count` how many were.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    email = models.EmailField(max_length=254)
    first_name = models.CharField(max_length=LONGEST_NAME, blank=True)
    last_name = models.CharField(max_length=LONGEST_NAME, blank=True)
    company = models.CharField(max_length=LONGEST_NAME, blank=True)
    first_name_folded = FoldedTextField(source="first_name", max_length=40)
    last_name_folded = FoldedTextField(source="last_name", max_length=40)
    attributes = models.JSONField(default=dict, blank=True)
    status = models.CharField(
        max_length=12, choices=ContactStatus.choices, default=ContactStatus.SUBSCRIBED
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    last_email_sent = models.DateTimeField(null=True, blank=True, editable=False)
    last_campaign = models.CharField(max_length=80, blank=True, editable=False)
    email_count = models.PositiveIntegerField(default=0, editable=False)

    objects = ContactQuerySet.as_manager()

    class Meta:
        db_table = "contacts"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"], opclasses=_BY_PREFIX, name="contact_email_in_tenant"
            )
        ]
        # The first grows at its end, whatever is imported, and holds all that a search reads:
        # it is walked from the newest on, and ends with the page. Indexes that begin with a
        # name cost more than half of an import's time.
        indexes = [
            models.Index(
                fields=["tenant", "id", "email", "first_name_folded", "last_name_folded"],
                name="contact_newest",
            ),
            models.Index(fields=["tenant", "status", "id"], name="contact_by_status"),
        ]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **options: Any) -> None:
        """Store it; an address that was erased once is suppressed again, by name."""
        super().save(*args, **options)
        Suppression.objects.suppress_erased(self.tenant_id, [self.email])

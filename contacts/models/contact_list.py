"""A list that people are on, and leave again."""

from __future__ import annotations

from django.db import models

from accounts.models import EmailAccount, Tenant, User
from accounts.scope import TenantOwned, TenantQuerySet
from contacts.models.folded_text import CaselessTextField

LONGEST_LIST_NAME = 100
# A letter may become three without its case.
_LONGEST_CASELESS_NAME = 3 * LONGEST_LIST_NAME


class OptIn(models.TextChoices):
    """What makes a person a member: being added, or being added and then saying yes."""

    SINGLE = "single"
    DOUBLE = "double"


class ContactList(TenantOwned):
    """A tenant has one list of a name, however that is written.

    Who is added to a list with double opt-in is asked by mail, and pending until then.

    The question goes by `account`, or by the installation's own sender, from `from_email`;
    empty, from the account's address. `trouble` says why it could not be asked lately, and
    `ask_after` when that is tried again.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=LONGEST_LIST_NAME)
    name_caseless = CaselessTextField(source="name", max_length=_LONGEST_CASELESS_NAME)
    description = models.CharField(max_length=500, blank=True)
    opt_in = models.CharField(max_length=6, choices=OptIn.choices, default=OptIn.SINGLE)
    account = models.ForeignKey(
        EmailAccount, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    from_email = models.CharField(max_length=400, blank=True)
    trouble = models.CharField(max_length=500, blank=True, editable=False)
    ask_after = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        db_table = "contact_lists"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name_caseless"], name="contact_list_name_in_tenant"
            )
        ]
        indexes = [models.Index(fields=["tenant", "id"], name="contact_list_newest")]

    def __str__(self) -> str:
        return self.name

    @property
    def asks_first(self) -> bool:
        """Whether whoever is added has to say yes."""
        return self.opt_in == OptIn.DOUBLE

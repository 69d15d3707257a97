"""A message kept for campaigns to come."""

from __future__ import annotations

from django.db import models

from accounts.models import User
from accounts.scope import TenantOwned, TenantQuerySet

LONGEST_TEMPLATE_NAME = 100


class Template(TenantOwned):
    """`subject`, `html` and `text` are in the personalisation language, and compile.

    Style sheets of `html` are written into its elements, and an empty `text` is derived from
    it, when a message is made.
    """

    tenant = models.ForeignKey(
        "accounts.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=LONGEST_TEMPLATE_NAME)
    subject = models.CharField(max_length=1000, blank=True)
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        db_table = "templates"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="template_name_in_tenant")
        ]
        indexes = [models.Index(fields=["tenant", "id"], name="template_newest")]

    def __str__(self) -> str:
        return self.name

"""People described by a rule: whoever meets it at the moment of asking."""

from __future__ import annotations

from django.db import models

from accounts.models import Tenant, User
from accounts.scope import TenantOwned, TenantQuerySet

LONGEST_SEGMENT_NAME = 100


class Segment(TenantOwned):
    """`rule` is one that `contacts.segments.language` has read without a complaint."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=LONGEST_SEGMENT_NAME)
    description = models.CharField(max_length=500, blank=True)
    rule = models.JSONField()
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        db_table = "segments"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="segment_name_in_tenant")
        ]
        indexes = [models.Index(fields=["tenant", "id"], name="segment_newest")]

    def __str__(self) -> str:
        return self.name

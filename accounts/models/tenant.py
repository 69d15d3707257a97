"""One customer of the installation: everything belongs to a tenant and never leaves it."""

from __future__ import annotations

import uuid

from django.db import models


class Tenant(models.Model):
    """`slug` is what X-Tenant-ID names."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "tenants"
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

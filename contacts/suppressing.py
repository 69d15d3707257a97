"""Suppressing the addresses of contacts, however many they are."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, DateTimeField, F, QuerySet, Value
from django.utils import timezone

from contacts.bulk_writing import insert_selected
from contacts.models import Contact, Suppression, SuppressionReason


def suppress_contacts(
    contacts: QuerySet[Contact], reason: SuppressionReason = SuppressionReason.MANUAL
) -> int:
    """Suppress their addresses, each in its tenant; one that already is keeps its reason.

    How many were not suppressed before.
    """
    values: dict[str, Any] = {
        "tenant_id": F("tenant_id"),
        "email": F("email"),
        "reason": Value(str(reason), output_field=CharField()),
        "created_at": Value(timezone.now(), output_field=DateTimeField()),
    }
    return insert_selected(Suppression, values, contacts)

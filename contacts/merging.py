"""Rows of a file become contacts: new ones are added, known ones changed where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import DataError, IntegrityError, transaction

from contacts.attributes import merge_attributes
from contacts.contact_rows import ContactRow
from contacts.models import Contact, ContactStatus


@dataclass(slots=True)
class Merged:
    """How many rows were new or changed what is known, and those the database refused."""

    imported: int = 0
    updated: int = 0
    refused: Sequence[int] = ()


def merge_rows(tenant_id: UUID, rows: Sequence[ContactRow], fields: Iterable[str]) -> Merged:
    """Write these rows, of which each may hold values of `fields` and attributes.

    Of two rows with one address the later wins. Runs inside the caller's transaction.
    `refused` are positions of rows that the database did not take.
    """
    try:
        with transaction.atomic():
            return _write(tenant_id, rows, fields)
    except (DataError, IntegrityError):
        return _write_one_by_one(tenant_id, rows, fields)


def _write_one_by_one(tenant_id: UUID, rows: Sequence[ContactRow], fields: Iterable[str]) -> Merged:
    merged, refused = Merged(), []
    for position, row in enumerate(rows):
        try:
            with transaction.atomic():
                one = _write(tenant_id, [row], fields)
        except (DataError, IntegrityError):
            refused.append(position)
        else:
            merged.imported += one.imported
            merged.updated += one.updated
    merged.refused = refused
    return merged


def _write(tenant_id: UUID, rows: Sequence[ContactRow], fields: Iterable[str]) -> Merged:
    emails = sorted({row.email for row in rows})
    # Locked in one order, so that two imports at once wait and never block each other.
    stored = Contact.objects.filter(tenant_id=tenant_id, email__in=emails)
    known = {row.email: row for row in stored.order_by("email").select_for_update()}
    merged = Merged()
    to_write: dict[str, Contact] = {}
    for row in rows:
        contact = known.get(row.email)
        if contact is None:
            contact = known[row.email] = Contact(
                tenant_id=tenant_id, email=row.email, **row.fields, attributes=row.attributes
            )
            merged.imported += 1
            to_write[row.email] = contact
        else:
            merged.updated += 1
            if _change(contact, row):
                to_write[row.email] = contact
    if to_write:
        Contact.objects.bulk_create(
            [to_write[email] for email in sorted(to_write)],
            update_conflicts=True,
            unique_fields=["tenant", "email"],
            update_fields=_columns_of(fields),
        )
    return merged


def _change(contact: Contact, row: ContactRow) -> bool:
    """Whether the row says anything new. A file never subscribes anew who has left."""
    changed = False
    for name, value in row.fields.items():
        stored = getattr(contact, name)
        if stored != value and not (name == "status" and stored != ContactStatus.SUBSCRIBED):
            setattr(contact, name, value)
            changed = True
    if row.attributes:
        attributes = merge_attributes(contact.attributes, row.attributes)
        if attributes != contact.attributes:
            contact.attributes = attributes
            changed = True
    return changed


def _columns_of(fields: Iterable[str]) -> list[str]:
    columns = {"updated_at", "attributes", *fields}
    columns |= {f"{name}_folded" for name in ("first_name", "last_name") if name in columns}
    return sorted(columns)

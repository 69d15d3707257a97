"""Rows of a file become contacts: new ones are added, known ones changed where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import DataError, IntegrityError, transaction

from contacts.attributes import merge_attributes
from contacts.bulk_writing import ContactValues, insert_contacts, update_contacts
from contacts.contact_rows import ContactRow
from contacts.models import Contact, ContactStatus, Suppression

_TRIES = 5


@dataclass(slots=True)
class Merged:
    """How many rows were new or spoke of a known contact, and those that were refused.

    `refused` are positions of rows that the database did not take.
    """

    imported: int = 0
    updated: int = 0
    refused: Sequence[int] = ()


class _Overtaken(Exception):
    """Somebody else added one of the contacts between our look and our writing."""


def merge_rows(tenant_id: UUID, rows: Sequence[ContactRow]) -> Merged:
    """Write these rows; of two with one address the later wins.

    Values that a row leaves out stay as they are stored. Runs inside the caller's
    transaction.
    """
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                return _write(tenant_id, rows)
        except _Overtaken:
            continue
        except (DataError, IntegrityError):
            break
    return _write_one_by_one(tenant_id, rows)


def _write_one_by_one(tenant_id: UUID, rows: Sequence[ContactRow]) -> Merged:
    merged, refused = Merged(), []
    for position, row in enumerate(rows):
        try:
            with transaction.atomic():
                one = _write(tenant_id, [row])
        except (DataError, IntegrityError, _Overtaken):
            refused.append(position)
        else:
            merged.imported += one.imported
            merged.updated += one.updated
    merged.refused = refused
    return merged


def _write(tenant_id: UUID, rows: Sequence[ContactRow]) -> Merged:
    known = _load(tenant_id, sorted({row.email for row in rows}))
    new: dict[str, ContactValues] = {}
    changed: dict[str, ContactValues] = {}
    merged = Merged()
    for row in rows:
        contact = known.get(row.email)
        if contact is None:
            contact = ContactValues(row.email)
            _change(contact, row)
            known[row.email] = new[row.email] = contact
            merged.imported += 1
        else:
            merged.updated += 1
            if _change(contact, row) and contact.id is not None:
                changed[row.email] = contact
    if new and insert_contacts(tenant_id, [new[email] for email in sorted(new)]) != len(new):
        raise _Overtaken
    Suppression.objects.suppress_erased(tenant_id, new)
    if changed:
        update_contacts(list(changed.values()))
    return merged


def _load(tenant_id: UUID, emails: Sequence[str]) -> dict[str, ContactValues]:
    """The contacts of these addresses, locked in one order, so that two imports never
    wait for each other in a circle."""
    stored = Contact.objects.filter(tenant_id=tenant_id, email__among=emails)
    names = ("email", "first_name", "last_name", "company", "status", "attributes", "pk")
    rows = stored.order_by("email").select_for_update(no_key=True).values_list(*names)
    return {row[0]: ContactValues(*row) for row in rows}


def _change(contact: ContactValues, row: ContactRow) -> bool:
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

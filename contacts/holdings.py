"""All that is held about a person: what is shown, handed out and erased on request.

Contacts know their own tables. Apps above them hold more of a person, and register what
they hold when they are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db import transaction

from accounts.models import Tenant
from contacts.bad_rows import bad_rows_about
from contacts.models import (
    Contact,
    ErasedAddress,
    ImportRowError,
    LiftedSuppression,
    ListMember,
    Suppression,
)
from contacts.models.erased_address import digest_address

_OF_A_CONTACT = (
    *("email", "first_name", "last_name", "company", "attributes", "status", "created_at"),
    *("updated_at", "last_email_sent", "last_campaign", "email_count"),
)
_OF_A_MEMBER = ("added_at", "asked_at", "confirmed_at", "left_at")


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a person; `details` are JSON values."""

    at: datetime
    kind: str
    details: dict[str, Any]


class Holder(Protocol):
    """An app that holds something of people, by their contacts and by their addresses.

    It may hold something of an address that is no contact's.
    """

    def held(
        self, tenant: Tenant, contact: Contact | None, email: str
    ) -> Mapping[str, Sequence[dict[str, Any]]]:
        """All of it, as JSON values by what they are."""

    def happened(self, contact: Contact, before: datetime, most: int) -> Sequence[Happening]:
        """What happened until then, `before` itself included, the newest first."""

    def erase(self, tenant: Tenant, contact: Contact | None, email: str) -> None:
        """Keep nothing that names the person; within a transaction."""


_HOLDERS: list[Holder] = []


def register_holder(holder: Holder) -> None:
    """Let requests about a person reach what this app holds, too."""
    _HOLDERS.append(holder)


def held_about(tenant: Tenant, email: str) -> dict[str, Any]:
    """Everything about this address (normalised), as JSON values by what they are.

    All are empty where nothing is held; the address need not be a contact's.
    """
    contact = Contact.objects.filter(tenant=tenant, email=email).first()
    own = {"tenant": tenant, "email": email}
    members = ListMember.objects.filter(contact=contact) if contact else ListMember.objects.none()
    return {
        "contact": contact and {name: getattr(contact, name) for name in _OF_A_CONTACT},
        "lists": [
            {"name": each.list.name, "state": each.state}
            | {name: getattr(each, name) for name in _OF_A_MEMBER}
            for each in members.select_related("list").order_by("pk")
        ],
        "suppression": Suppression.objects.filter(**own).values("reason", "created_at").first(),
        "lifted_suppression": LiftedSuppression.objects.filter(**own).values("lifted_at").first(),
        "import_errors": [
            {
                "import_id": row.job_id,
                "filename": row.job.filename,
                "imported_at": row.job.created_at,
                "line": row.line,
                "row": row.text,
                "reason": row.reason,
            }
            for row in bad_rows_about(tenant.pk, email)
        ],
        **{
            name: list(values)
            for holder in _HOLDERS
            for name, values in holder.held(tenant, contact, email).items()
        },
    }


def history_of(contact: Contact, before: datetime, most: int) -> list[Happening]:
    """What happened to the contact, the newest first.

    No more than `most`, and then those of the same moment as the last: so whoever goes on
    before that moment misses none.
    """
    found = list(_own_happenings(contact))
    for holder in _HOLDERS:
        found += holder.happened(contact, before, most + 1)
    found = sorted((each for each in found if each.at <= before), key=lambda each: each.at)
    found.reverse()
    shown = found[:most]
    return shown + [each for each in found[most:] if each.at == shown[-1].at]


def _own_happenings(contact: Contact) -> Iterator[Happening]:
    yield Happening(contact.created_at, "added", {})
    for member in ListMember.objects.filter(contact=contact).select_related("list"):
        for kind, moment in (
            ("list_added", member.added_at),
            ("list_asked", member.asked_at),
            ("list_confirmed", member.confirmed_at),
            ("list_left", member.left_at),
        ):
            if moment is not None:
                yield Happening(moment, kind, {"list": member.list.name})
    for row in Suppression.objects.filter(tenant=contact.tenant_id, email=contact.email):
        yield Happening(row.created_at, "suppressed", {"reason": row.reason})


def erase_person(tenant: Tenant, email: str) -> None:
    """Forget the person everywhere; a digest stays, by which campaigns know to leave it alone.

    The address (normalised) need not be a contact's. Messages in the mailboxes of the tenant's
    users are theirs, and stay.
    """
    # Searched for before the transaction: there may be very many.
    bad_rows = [row.pk for row in bad_rows_about(tenant.pk, email)]
    with transaction.atomic():
        contact = Contact.objects.filter(tenant=tenant, email=email).first()
        ErasedAddress.objects.get_or_create(tenant=tenant, digest=digest_address(tenant.pk, email))
        Suppression.objects.filter(tenant=tenant, email=email).delete()
        LiftedSuppression.objects.filter(tenant=tenant, email=email).delete()
        ImportRowError.objects.filter(pk__among=bad_rows).delete()
        for holder in _HOLDERS:
            holder.erase(tenant, contact, email)
        if contact is not None:
            contact.delete()

"""What a person decides about mail from a tenant: which lists, or nothing at all.

The link to the page speaks for the person (`contacts.tokens`), so that no login is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from contacts.joining import leave, subscribe
from contacts.models import (
    Contact,
    ContactStatus,
    ListMember,
    MemberState,
    Suppression,
    SuppressionReason,
)
from contacts.tokens import Purpose, read_token, write_token

# Before the token. A process that sends mail needs to know no other address of the site.
PATH = "preferences/"


def preferences_url(contact: Contact) -> str:
    """Where this person chooses."""
    return preferences_url_of(contact.pk)


def preferences_url_of(contact: int) -> str:
    """Where the person with this key chooses."""
    return f"{settings.MAILHUB_PUBLIC_URL}{preferences_path(contact)}"


def preferences_path(contact: int) -> str:
    """The same within this site."""
    return f"/{PATH}{write_token(Purpose.PREFERENCES, contact)}"


def find_person(token: str) -> Contact | None:
    """Whose link it is; None for one that is not ours, or whose contact is gone."""
    key = read_token(Purpose.PREFERENCES, token)
    if key is None:
        return None
    rows = Contact.objects.filter(pk=key, tenant__is_active=True)
    return rows.select_related("tenant").first()


def lists_of(contact: Contact) -> Sequence[ListMember]:
    """The lists that the person is on or has left; not those that it was only put forward for."""
    rows = contact.memberships.exclude(state=MemberState.PENDING)
    return list(rows.select_related("list").order_by("list__name", "pk"))


def choose_lists(contact: Contact, kept: Collection[int]) -> None:
    """Be on these lists, and on no other; mail comes again to who had none at all."""
    with transaction.atomic():
        for member in lists_of(contact):
            (subscribe if member.list_id in kept else leave)(member)
        _set_status(contact, ContactStatus.UNSUBSCRIBED, ContactStatus.SUBSCRIBED)
        suppressed = Suppression.objects.filter(tenant=contact.tenant, email=contact.email)
        suppressed.filter(reason=SuppressionReason.UNSUBSCRIBED).delete()


def refuse_all_mail(contact: Contact) -> None:
    """No campaign writes to the person any more, whatever a list says."""
    with transaction.atomic():
        _set_status(contact, ContactStatus.SUBSCRIBED, ContactStatus.UNSUBSCRIBED)
        Suppression.objects.suppress(
            contact.tenant, [contact.email], SuppressionReason.UNSUBSCRIBED
        )


def _set_status(contact: Contact, old: ContactStatus, new: ContactStatus) -> None:
    """A bounce or a complaint is not undone by a wish."""
    if Contact.objects.filter(pk=contact.pk, status=old).update(
        status=new, updated_at=timezone.now()
    ):
        contact.status = new

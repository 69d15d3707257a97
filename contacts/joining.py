"""Joining lists and leaving them.

An addition by somebody else never undoes what the person decided: who has left a list stays
away, and on a list with double opt-in who was added is pending until it says yes itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import CharField, DateTimeField, F, IntegerField, Value
from django.utils import timezone

from contacts.bulk_writing import insert_selected
from contacts.contact_rows import ContactRow
from contacts.merging import merge_rows
from contacts.models import Contact, ContactList, ListMember, MemberState
from contacts.models.contact import ContactQuerySet

# Nobody is asked more often, however often it is added.
ASK_AGAIN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Added:
    """How many are new on the list; the others were there, or have left."""

    added: int
    unchanged: int


def add_addresses(contact_list: ContactList, emails: Sequence[str]) -> Added:
    """Put these addresses (normalised) on a list; who is no contact yet becomes one."""
    unique = sorted(set(emails))
    with transaction.atomic():
        merge_rows(contact_list.tenant_id, [ContactRow(email) for email in unique])
        people = Contact.objects.filter(tenant_id=contact_list.tenant_id, email__in=unique)
        added = add_people(contact_list, people)
        waiting = ListMember.objects.filter(
            list=contact_list,
            contact__in=people,
            state=MemberState.PENDING,
            ask_at=None,
            asked_at__lt=timezone.now() - ASK_AGAIN_AFTER,
        )
        waiting.update(ask_at=timezone.now())
    return Added(added, len(unique) - added)


def add_people(contact_list: ContactList, people: ContactQuerySet) -> int:
    """Put these contacts of the list's tenant on it; how many are new there."""
    now = timezone.now()
    state = MemberState.PENDING if contact_list.asks_first else MemberState.SUBSCRIBED
    values: dict[str, Any] = {
        "list_id": Value(contact_list.pk, output_field=IntegerField()),
        "contact_id": F("pk"),
        "state": Value(str(state), output_field=CharField()),
        "added_at": Value(now, output_field=DateTimeField()),
    }
    if contact_list.asks_first:
        values["ask_at"] = Value(now, output_field=DateTimeField())
    return insert_selected(ListMember, values, people)


def subscribe(member: ListMember) -> None:
    """The person says yes, or comes back."""
    _change(member, MemberState.SUBSCRIBED, confirmed_at=timezone.now(), left_at=None)


def leave(member: ListMember) -> None:
    """The person leaves the list, and is not put back by others."""
    _change(member, MemberState.UNSUBSCRIBED, left_at=timezone.now())


def _change(member: ListMember, state: MemberState, **moments: Any) -> None:
    """Nothing where that is so already."""
    changes = {"state": state, "ask_at": None, **moments}
    rows = ListMember.objects.filter(pk=member.pk).exclude(state=state)
    if rows.update(**changes):
        for name, value in changes.items():
            setattr(member, name, value)

"""Finds contacts for a person: by the beginnings of words, by status, list and segment."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from accounts.caller import Caller
from contacts.models import Contact, ContactList, ContactStatus, ListMember, MemberState, Segment
from contacts.models.contact import ContactQuerySet
from contacts.segments.compiling import matching
from contacts.segments.language import read_rule
from mailhub.errors import InvalidInput
from mailhub.numbers import whole_number

LONGEST_SEARCH = 200


def search_contacts(
    caller: Caller, text: str = "", status: str = "", list_id: str = "", segment_id: str = ""
) -> ContactQuerySet:
    """The caller's contacts, narrowed by each word of `text`, and by the others where given.

    Of a list those who are subscribed to it. Raises InvalidInput for a status, a list or a
    segment that there is not.
    """
    found = Contact.objects.for_caller(caller)
    if text:
        found = found.search(text)
    if status:
        if status not in ContactStatus.values:
            raise InvalidInput.field("status", f"Give one of {', '.join(ContactStatus.values)}.")
        found = found.filter(status=status)
    if list_id:
        found = _on_list(caller, found, list_id)
    if segment_id:
        found = _in_segment(caller, found, segment_id)
    return found


def _on_list(caller: Caller, found: ContactQuerySet, list_id: str) -> ContactQuerySet:
    key = _key_of(ContactList.objects.for_caller(caller), list_id)
    if key is None:
        raise InvalidInput.field("list_id", "There is no such list.")
    members = ListMember.objects.filter(list_id=key, state=MemberState.SUBSCRIBED)
    return found.filter(pk__in=members.values("contact"))


def _in_segment(caller: Caller, found: ContactQuerySet, segment_id: str) -> ContactQuerySet:
    segments = Segment.objects.for_caller(caller)
    key = _key_of(segments, segment_id)
    if key is None:
        raise InvalidInput.field("segment_id", "There is no such segment.")
    return matching(found, read_rule(segments.get(pk=key).rule))


def _key_of(rows: QuerySet[Any], text: str) -> int | None:
    return rows.filter(pk=whole_number(text)).values_list("pk", flat=True).first()

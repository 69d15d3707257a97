"""Finds contacts for a person: by the beginnings of words, by status."""

from __future__ import annotations

from accounts.caller import Caller
from contacts.models import Contact, ContactStatus
from contacts.models.contact import ContactQuerySet
from mailhub.errors import InvalidInput

LONGEST_SEARCH = 200


def search_contacts(caller: Caller, text: str = "", status: str = "") -> ContactQuerySet:
    """The caller's contacts, narrowed by each word of `text` and by status where given.

    Raises InvalidInput for a status that there is not.
    """
    found = Contact.objects.for_caller(caller)
    if text:
        found = found.search(text)
    if status:
        if status not in ContactStatus.values:
            raise InvalidInput.field("status", f"Give one of {', '.join(ContactStatus.values)}.")
        found = found.filter(status=status)
    return found

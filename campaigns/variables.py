"""What may stand in a text, and what is wrong with one, in words for a person."""

from __future__ import annotations

from accounts.caller import Caller
from contacts.models import Contact
from mailhub.errors import MailhubError
from mailhub.mail.errors import MailError

_OWN = ("first_name", "last_name", "email", "company", "unsubscribe_url", "preferences_url")
_LOOKED_AT, _SHOWN = 200, 20


def variables_of(caller: Caller) -> list[str]:
    """Fields of a contact, and attributes that some of the newest contacts have."""
    rows = Contact.objects.for_caller(caller).order_by("-pk")
    found: set[str] = set()
    for attributes in rows.values_list("attributes", flat=True)[:_LOOKED_AT]:
        if isinstance(attributes, dict):
            found |= {name for name in attributes if name.isidentifier()}
    return [*_OWN, *(f"contact.attributes.{name}" for name in sorted(found)[:_SHOWN])]


def say_refusal(refusal: MailhubError | MailError) -> str:
    """The sentence, with its place in the text where there is one."""
    details = getattr(refusal, "details", {})
    if details.get("line"):
        return f"{refusal.message} (line {details['line']}, column {details['column']})"
    return refusal.message

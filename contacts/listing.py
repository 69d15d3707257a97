"""Making and changing lists: what they are to hold is checked before it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.caller import Caller
from accounts.models import EmailAccount
from accounts.sending import default_sender
from contacts.confirming import forget_trouble
from contacts.models import ContactList, Segment
from contacts.segments.language import lists_named
from mailhub.errors import Conflict, InvalidInput
from mailhub.mail.addresses import parse_address
from mailhub.mail.errors import InvalidMessage

_NO_SENDER = (
    "A list with double opt-in needs a sender: an account, or from_email where this "
    "installation has a mail server of its own."
)


def make_list(caller: Caller, given: Mapping[str, Any]) -> ContactList:
    """A new list of the caller's tenant. Raises InvalidInput, and Conflict for a taken name."""
    made = ContactList(tenant=caller.tenant, created_by=caller.user)
    return change_list(caller, made, given)


def change_list(caller: Caller, contact_list: ContactList, given: Mapping[str, Any]) -> ContactList:
    """Set these fields, and store the list. Raises as `make_list` does.

    `account_id` names an account from which the caller may send.
    """
    for name, value in given.items():
        setattr(contact_list, name, value)
    if given.get("account_id") and not _is_sendable(caller, given["account_id"]):
        raise InvalidInput.field("account_id", "There is no such account from which you may send.")
    _check_sender(contact_list)
    try:
        with transaction.atomic():
            contact_list.save()
    except IntegrityError:
        raise Conflict("There is a list of this name already.", code="list_exists") from None
    forget_trouble(contact_list)
    return contact_list


def delete_list(contact_list: ContactList) -> None:
    """Forget the list; its members stay contacts. Raises Conflict where a segment asks for it."""
    segments = segments_naming(contact_list)
    if segments:
        names = ", ".join(segment.name for segment in segments)
        raise Conflict(
            f"These segments ask for this list: {names}. Change or delete them first.",
            code="list_in_use",
            details={"segments": [{"id": each.pk, "name": each.name} for each in segments]},
        )
    contact_list.delete()


def segments_naming(contact_list: ContactList) -> list[Segment]:
    """Those whose rule asks for the list, by name."""
    segments = Segment.objects.filter(tenant=contact_list.tenant_id).order_by("name")
    return [segment for segment in segments if contact_list.pk in lists_named(segment.rule)]


def _is_sendable(caller: Caller, account_id: UUID) -> bool:
    accounts = EmailAccount.objects.sendable_by(caller)
    return accounts.filter(pk=account_id, is_enabled=True).exists()


def _check_sender(contact_list: ContactList) -> None:
    if contact_list.from_email:
        try:
            parse_address(contact_list.from_email)
        except InvalidMessage as error:
            raise InvalidInput.field("from_email", error.message) from error
    by_account = contact_list.account_id is not None
    by_default = bool(default_sender() and contact_list.from_email)
    if contact_list.asks_first and not by_account and not by_default:
        raise InvalidInput.field("from_email", _NO_SENDER)


def own_lists(caller: Caller, keys: Sequence[int]) -> list[ContactList]:
    """The caller's lists of these keys. Raises InvalidInput (`list_ids`) for one that is not."""
    found = ContactList.objects.for_caller(caller).in_bulk(keys)
    for key in keys:
        if key not in found:
            raise InvalidInput.field("list_ids", f"There is no list {key}.")
    return list(found.values())

"""Mails the questions of double opt-in: lists are of contacts, the outbox is of mailboxes.

Each question is noted as asked in the transaction that puts its message in the outbox, so
that a crash in between neither loses nor doubles it.
"""

from __future__ import annotations

from django.db import transaction

from accounts.caller import Caller, caller_of
from accounts.models import Membership, Role
from contacts.confirming import (
    Question,
    forget_trouble,
    members_to_ask,
    note_trouble,
    take_question,
)
from contacts.models import ContactList
from mailboxes.composing import send_from_account
from mailboxes.operations.composing import MailOptions
from mailboxes.outbox.default_sender import send_by_default
from mailhub.errors import Conflict, MailhubError
from mailhub.logs import get_logger
from mailhub.mail.addresses import Address, parse_address
from mailhub.mail.errors import MailError

log = get_logger(__name__)

_A_TURN = 50
# RFC 3834: nobody's vacation notice is to answer this.
_HEADERS = (("Auto-Submitted", "auto-generated"),)


def ask_to_confirm() -> int:
    """Put the questions that are due in the outbox, a few at a time; how many were put there."""
    asked = 0
    in_trouble: set[int] = set()
    for member in members_to_ask(_A_TURN):
        if member.list_id in in_trouble:
            continue
        try:
            with transaction.atomic():
                question = take_question(member)
                if question is not None:
                    _send(member.list, question)
                    forget_trouble(member.list)
                    asked += 1
        except (MailhubError, MailError) as error:
            in_trouble.add(member.list_id)
            note_trouble(member.list, str(error))
            log.warning("nobody can be asked", list=member.list_id, error=str(error))
    return asked


def _send(contact_list: ContactList, question: Question) -> None:
    account = contact_list.account
    address = contact_list.from_email or (account.email_address if account else "")
    sender = parse_address(address)
    options = MailOptions(
        sender=sender if sender.name else Address(contact_list.tenant.name, sender.address),
        to=[Address("", question.to)],
        subject=question.subject,
        text=question.text,
        headers=_HEADERS,
    )
    caller = _in_whose_name(contact_list)
    if account is not None:
        send_from_account(caller, account, options)
    else:
        send_by_default(caller, options)


def _in_whose_name(contact_list: ContactList) -> Caller:
    """The account's owner, else who made the list, else an owner of the tenant."""
    account = contact_list.account
    wanted = account.user_id if account else contact_list.created_by_id
    members = Membership.objects.filter(tenant=contact_list.tenant, user__is_active=True)
    members = members.select_related("tenant", "user").order_by("pk")
    member = members.filter(user=wanted).first() or members.filter(role=Role.OWNER).first()
    if member is None:
        raise Conflict("Nobody is left in whose name to ask.", code="no_sender")
    return caller_of(member)

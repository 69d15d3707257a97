"""Double opt-in: a person is asked by mail, and says yes on a page.

What is to be asked stands in the members' rows, so that an import of any size and a crash at
any moment ask everybody, once. The message itself is sent further up (`mailhub.opt_in`):
this app knows no outbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from contacts.joining import subscribe
from contacts.models import Contact, ContactList, ListMember, MemberState
from contacts.tokens import CONFIRMABLE_FOR, Purpose, read_token, write_token

_TRY_AGAIN_AFTER = timedelta(minutes=5)
_LONGEST_TROUBLE = 500


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked, ready to be sent."""

    to: str
    subject: str
    text: str


def members_to_ask(most: int) -> Sequence[ListMember]:
    """Whose question is due, but for lists that have no way to send one now."""
    able = Q(list__ask_after=None) | Q(list__ask_after__lte=timezone.now())
    rows = ListMember.objects.to_be_asked().filter(able, list__tenant__is_active=True)
    return list(rows.select_related("list__tenant", "list__account", "contact")[:most])


def take_question(member: ListMember) -> Question | None:
    """The question for this member, noted as asked in the caller's transaction.

    None where somebody else has asked it, or nobody is to write to the person.
    """
    mine = ListMember.objects.filter(pk=member.pk, ask_at=member.ask_at)
    if not Contact.objects.mailable(member.list.tenant).filter(pk=member.contact_id).exists():
        mine.update(ask_at=None)
        return None
    pending = mine.filter(state=MemberState.PENDING)
    if not pending.update(ask_at=None, asked_at=timezone.now()):
        return None
    return _question(member)


def _question(member: ListMember) -> Question:
    contact_list, tenant = member.list, member.list.tenant
    text = (
        f"Somebody, you we hope, asked that {member.contact.email} be put on the list "
        f"“{contact_list.name}” of {tenant.name}.\n\n"
        f"To be on it, open this page and say yes there, within {CONFIRMABLE_FOR.days} days:\n"
        f"{confirmation_url(member)}\n\n"
        "If it was not you, do nothing: you will not be on the list.\n"
    )
    return Question(member.contact.email, f"Please confirm: {contact_list.name}", text)


def confirmation_url(member: ListMember) -> str:
    """Where the person says yes."""
    token = write_token(Purpose.CONFIRM, member.pk)
    return f"{settings.MAILHUB_PUBLIC_URL}{reverse('confirm', args=[token])}"


def find_asked(token: str) -> ListMember | None:
    """Whom a confirmation link was sent to; None for one that is not ours, or is too old."""
    key = read_token(Purpose.CONFIRM, token)
    if key is None:
        return None
    rows = ListMember.objects.filter(pk=key, list__tenant__is_active=True)
    return rows.select_related("list__tenant", "contact").first()


def confirm(member: ListMember) -> bool:
    """The person says yes; whether it is on the list now.

    An old link does not bring back who has left since.
    """
    if member.state == MemberState.PENDING:
        subscribe(member)
    return member.state == MemberState.SUBSCRIBED


def note_trouble(contact_list: ContactList, words: str) -> None:
    """No question of this list can be sent now: show why, and try again in five minutes."""
    ContactList.objects.filter(pk=contact_list.pk).update(
        trouble=words[:_LONGEST_TROUBLE], ask_after=timezone.now() + _TRY_AGAIN_AFTER
    )


def forget_trouble(contact_list: ContactList) -> None:
    """A question could be sent, or the list was changed: do not wait any longer."""
    if contact_list.trouble:
        ContactList.objects.filter(pk=contact_list.pk).update(trouble="", ask_after=None)
        contact_list.trouble, contact_list.ask_after = "", None

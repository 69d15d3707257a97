"""Leaving by the link of a message: the person gets no more mail, at once.

Everything happens in one transaction: the contact and its address, the lists that the
campaign was for, and what is known of the delivery. A campaign that is being sent asks about
each person when its message is made, and so leaves out who has just left.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from accounts.models import Tenant
from campaigns.audience import ERASED_DOMAIN, LISTS
from campaigns.feedback.recording import Report, record_event
from campaigns.links.tokens import Purpose, read_token
from campaigns.models import CampaignAudience, Delivery, EventKind, EventSource
from contacts.joining import leave
from contacts.models import Contact, ListMember, Suppression, SuppressionReason
from contacts.preferences import refuse_all_mail


@dataclass(frozen=True, slots=True)
class Leaver:
    """Whose link it is. All are None in a test message, or where everything was deleted since.

    Somebody who was written to by the address alone is no contact.
    """

    tenant: Tenant | None = None
    contact: Contact | None = None
    delivery: Delivery | None = None

    @property
    def email(self) -> str:
        """The address that the message went to, "" where nobody knows it any more."""
        if self.delivery is not None and not self.delivery.email.endswith(f"@{ERASED_DOMAIN}"):
            return self.delivery.email
        return self.contact.email if self.contact is not None else ""


def find_leaver(token: str) -> Leaver | None:
    """Whose link it is; None for one that is not ours. A link never grows too old."""
    named = read_token(Purpose.LEAVE, token)
    if named is None:
        return None
    rows = Delivery.objects.select_related("campaign__tenant", "contact").defer(
        "campaign__html_body", "campaign__text_body", "campaign__headers"
    )
    delivery = rows.filter(pk=named.delivery).first()
    if delivery is None:
        contact = Contact.objects.select_related("tenant").filter(pk=named.contact).first()
        return Leaver(contact.tenant if contact else None, contact)
    tenant = delivery.campaign.tenant
    contact = delivery.contact
    if contact is None:
        contact = Contact.objects.filter(tenant=tenant, email=delivery.email).first()
    return Leaver(tenant, contact, delivery)


def has_left(leaver: Leaver) -> bool:
    """Whether no campaign writes to this address."""
    addresses = Suppression.objects.filter(tenant=leaver.tenant, email=leaver.email)
    return leaver.tenant is not None and addresses.exists()


def leave_all(leaver: Leaver) -> None:
    """Write to this person no more; as often as it says so."""
    if leaver.tenant is None:
        return
    with transaction.atomic():
        if leaver.delivery is not None:
            _note(leaver.delivery)
        if leaver.contact is not None:
            leaver.contact.tenant = leaver.tenant
            refuse_all_mail(leaver.contact)
        if leaver.email:
            Suppression.objects.suppress(
                leaver.tenant, [leaver.email], SuppressionReason.UNSUBSCRIBED
            )


def _note(delivery: Delivery) -> None:
    now = timezone.now()
    record_event(
        Report(delivery.pk, EventKind.UNSUBSCRIBE, now, EventSource.PAGE, key="unsubscribe")
    )
    if delivery.contact_id is None:
        return
    rules = CampaignAudience.objects.filter(pk=delivery.campaign_id).values_list("rule", flat=True)
    lists = [key for rule in rules for key in rule.get(LISTS, ())]
    for member in ListMember.objects.filter(contact=delivery.contact_id, list__in=lists):
        leave(member)

"""The audience of a campaign: fixed once, as one delivery a recipient.

It is written in pieces of one short transaction each, for SQLite has one writer, and each
moves `position` with the rows that it writes: a worker that is killed is followed by one
that goes on from there, and two at once do not write twice. Who becomes a contact after
the start is not part of it.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection, transaction
from django.db.models import CharField, F, IntegerField, Max, QuerySet, Value
from django.utils import timezone

from accounts.models import Tenant
from campaigns.models import (
    Campaign,
    CampaignAudience,
    CampaignStatus,
    Delivery,
    DeliveryState,
)
from contacts.models import Contact, Suppression

CONTACTS_A_PIECE = 2_000
ADDRESSES_A_PIECE = 500

EVERYONE = "everyone"
EMAILS = "emails"
SUPPRESSED = "The address is on the suppression list."
DELETED = "The contact was deleted."
NOT_SUBSCRIBED = "The contact is not subscribed."


class AudienceLost(Exception):
    """Another worker fixes this audience, or the campaign was stopped."""


def plan_audience(campaign: Campaign, emails: list[str] | None) -> CampaignAudience:
    """Note whom the campaign is for: these addresses (normalised), or every contact.

    Sets `total_contacts`; both rows are yet to be saved, the campaign first.
    """
    if emails is None:
        campaign.total_contacts = Contact.objects.mailable(campaign.tenant).count()
        return CampaignAudience(campaign=campaign, rule={EVERYONE: True})
    unique = list(dict.fromkeys(emails))
    campaign.total_contacts = len(unique)
    return CampaignAudience(campaign=campaign, rule={EMAILS: unique})


def fix_audience(campaign: Campaign, may_go_on: Callable[[], bool] = lambda: True) -> bool:
    """Write the deliveries and let the campaign begin; whether it has.

    Asks `may_go_on` between two pieces. Does nothing for one that has begun.
    """
    audience = CampaignAudience.objects.get(campaign=campaign)
    write = _write_addresses if EMAILS in audience.rule else _write_contacts
    try:
        if audience.last_contact is None:
            _bound(audience)
        while not audience.is_fixed:
            if not may_go_on():
                return False
            write(campaign, audience)
    except AudienceLost:
        return False
    return _begin(campaign)


def not_mailable(tenant: Tenant, contacts: dict[int, str], emails: list[str]) -> dict[str, str]:
    """Of the people about to be written to, those who must not be, each with the reason.

    `contacts` maps the keys of contacts to their addresses, `emails` are all addresses.
    """
    reasons = dict.fromkeys(
        Suppression.objects.filter(tenant=tenant, email__in=emails).values_list("email", flat=True),
        SUPPRESSED,
    )
    mailable = Contact.objects.mailable(tenant).filter(pk__in=contacts)
    subscribed = set(mailable.values_list("pk", flat=True))
    for pk, email in contacts.items():
        if pk not in subscribed:
            reasons.setdefault(email, NOT_SUBSCRIBED)
    return reasons


def takes_bare_addresses(campaign: Campaign) -> bool:
    """Whether it goes to addresses as they were given, contacts or not."""
    return CampaignAudience.objects.filter(campaign=campaign, rule__has_key=EMAILS).exists()


def _bound(audience: CampaignAudience) -> None:
    """Who is there now may be written to; who comes later is not meant."""
    tenant = audience.campaign.tenant
    newest = Contact.objects.filter(tenant=tenant).aggregate(newest=Max("pk"))["newest"] or 0
    CampaignAudience.objects.filter(pk=audience.pk, last_contact=None).update(last_contact=newest)
    audience.refresh_from_db(fields=["last_contact"])


def _write_contacts(campaign: Campaign, audience: CampaignAudience) -> None:
    people = Contact.objects.mailable(campaign.tenant).filter(
        pk__gt=audience.position, pk__lte=audience.last_contact
    )
    piece = people.order_by("pk").values_list("pk", flat=True)
    ends = list(piece[CONTACTS_A_PIECE - 1 : CONTACTS_A_PIECE])
    end = ends[0] if ends else audience.last_contact
    with transaction.atomic():
        _advance(audience, end or 0, is_fixed=not ends)
        _insert_from(campaign, people.filter(pk__lte=end))


def _insert_from(campaign: Campaign, people: QuerySet[Contact]) -> None:
    """INSERT … SELECT: the contacts never pass through Python."""
    rows = people.order_by("pk").values_list(
        Value(campaign.pk, output_field=IntegerField()),
        F("pk"),
        F("email"),
        Value(str(DeliveryState.QUEUED), output_field=CharField()),
        Value(0, output_field=IntegerField()),
        Value("", output_field=CharField()),
        Value("", output_field=CharField()),
    )
    sql, values = rows.query.sql_with_params()
    columns = "campaign_id, contact_id, email, state, attempts, message_id, reply"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO campaign_deliveries ({columns}) {sql}", values)


def _write_addresses(campaign: Campaign, audience: CampaignAudience) -> None:
    emails: list[str] = audience.rule[EMAILS]
    piece = emails[audience.position : audience.position + ADDRESSES_A_PIECE]
    end = audience.position + len(piece)
    known = Contact.objects.filter(tenant=campaign.tenant, email__in=piece)
    contacts = {email: pk for pk, email in known.values_list("pk", "email")}
    reasons = not_mailable(campaign.tenant, {pk: email for email, pk in contacts.items()}, piece)
    now = timezone.now()
    with transaction.atomic():
        _advance(audience, end, is_fixed=end >= len(emails))
        Delivery.objects.bulk_create(
            Delivery(
                campaign=campaign,
                contact_id=contacts.get(email),
                email=email,
                state=DeliveryState.SKIPPED if email in reasons else DeliveryState.QUEUED,
                reply=reasons.get(email, ""),
                finished_at=now if email in reasons else None,
            )
            for email in piece
        )


def _advance(audience: CampaignAudience, position: int, *, is_fixed: bool) -> None:
    """Move on in the same transaction as the rows; raises AudienceLost where another did."""
    mine = CampaignAudience.objects.filter(
        pk=audience.pk,
        position=audience.position,
        is_fixed=False,
        campaign__status=CampaignStatus.PENDING,
    )
    if not mine.update(position=position, is_fixed=is_fixed):
        raise AudienceLost
    audience.position, audience.is_fixed = position, is_fixed


def _begin(campaign: Campaign) -> bool:
    """Pending becomes in progress; the rows are counted once more."""
    now = timezone.now()
    total = Delivery.objects.filter(campaign=campaign).count()
    begun = {"status": CampaignStatus.IN_PROGRESS, "started_at": now, "total_contacts": total}
    pending = Campaign.objects.filter(pk=campaign.pk, status=CampaignStatus.PENDING)
    if pending.update(updated_at=now, **begun):
        for name, value in begun.items():
            setattr(campaign, name, value)
    else:
        campaign.refresh_from_db(fields=["status", "started_at", "total_contacts"])
    return campaign.started_at is not None

"""The audience of a campaign: fixed once, as one delivery a recipient.

Whom it is for is asked of contacts first, list by list and segment by segment at once, then
of bare addresses, of which those are dropped that have a delivery already: nobody is in it
twice. It is written in pieces of one short transaction each, for SQLite has one writer, and
each moves `position` with the rows that it writes: a worker that is killed is followed by
one that goes on from there, and two at once do not write twice. Who becomes a contact after
the start is not part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import CharField, Exists, F, IntegerField, Max, OuterRef, Q, QuerySet, Value
from django.utils import timezone

from accounts.caller import Caller
from accounts.models import Tenant
from campaigns.delivery_keys import keep_contacts
from campaigns.lifecycle import fail
from campaigns.links.dressing import keep_links
from campaigns.models import (
    Campaign,
    CampaignAudience,
    CampaignStatus,
    Delivery,
    DeliveryState,
)
from campaigns.news import tell_of
from contacts.listing import own_lists
from contacts.models import (
    Contact,
    ContactList,
    ErasedAddress,
    ListMember,
    MemberState,
    Segment,
    Suppression,
)
from contacts.segments.compiling import ListGone, meaning
from contacts.segments.keeping import check_rule
from contacts.segments.language import read_rule
from mailhub.errors import InvalidInput

# On SQLite nobody else writes for as long as one takes: a tenth of a second.
CONTACTS_A_PIECE = 10_000
ADDRESSES_A_PIECE = 500

EVERYONE = "everyone"
LISTS = "lists"
SEGMENTS = "segments"
EMAILS = "emails"
SUPPRESSED = "The address is on the suppression list."
DELETED = "The contact was deleted."
NOT_SUBSCRIBED = "The contact is not subscribed."
ERASED = "The person's data was erased."
# Stands for an address that was erased (RFC 2606: it is nobody's).
ERASED_DOMAIN = "erased.invalid"


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom a campaign is for: all of these together, each person once.

    `lists` are keys, `segments` keys or rules, `emails` normalised addresses. Where nothing
    is named, every contact is meant.
    """

    lists: tuple[int, ...] = ()
    segments: tuple[int | dict[str, Any], ...] = ()
    emails: tuple[str, ...] = ()


EVERYBODY = Recipients()


class AudienceLost(Exception):
    """Another worker fixes this audience, or the campaign was stopped."""


class AudienceGone(InvalidInput):
    """A list or a segment that the campaign is for is there no more; the message says so."""

    code = "audience_gone"


def plan_audience(caller: Caller, campaign: Campaign, recipients: Recipients) -> CampaignAudience:
    """Note whom the campaign is for, and set `total_contacts` to how many that would be now.

    Both rows are yet to be saved, the campaign first. Raises InvalidInput for a list or a
    segment that is not the caller's, AudienceGone for a segment that asks for a deleted list.
    """
    rule = audience_rule(caller, recipients) or {EVERYONE: True}
    audience = CampaignAudience(campaign=campaign, rule=rule)
    campaign.total_contacts = count_recipients(campaign.tenant, rule)
    return audience


def audience_rule(caller: Caller, recipients: Recipients) -> dict[str, Any]:
    """What `recipients` name, as it is stored; nothing where they name nobody.

    Raises InvalidInput for a list or a segment that is not the caller's.
    """
    own_lists(caller, recipients.lists)
    for segment in recipients.segments:
        _check_segment(caller, segment)
    named = {
        LISTS: list(recipients.lists),
        SEGMENTS: list(recipients.segments),
        EMAILS: list(dict.fromkeys(recipients.emails)),
    }
    return {name: value for name, value in named.items() if value}


def _check_segment(caller: Caller, segment: object) -> None:
    if isinstance(segment, int) and not isinstance(segment, bool):
        is_there = 0 < segment < 2**63
        if not is_there or not Segment.objects.for_caller(caller).filter(pk=segment).exists():
            raise InvalidInput.field("segment", "There is no such segment.")
    else:
        check_rule(caller, segment, place="segment")


def count_recipients(tenant: Tenant, rule: dict[str, Any]) -> int:
    """How many deliveries the rule would make now. Raises AudienceGone."""
    rule = as_it_stands(tenant, rule)
    emails: list[str] = rule.get(EMAILS, [])
    if not asks_contacts(rule):
        return len(emails)
    people = Contact.objects.mailable(tenant).filter(meant(rule, one_by_one=False))
    total = people.count()
    for start in range(0, len(emails), ADDRESSES_A_PIECE):
        piece = emails[start : start + ADDRESSES_A_PIECE]
        total += len(piece) - people.filter(email__in=piece).count()
    return total


def fix_audience(campaign: Campaign, may_go_on: Callable[[], bool] = lambda: True) -> bool:
    """Write the deliveries and let the campaign begin; whether it has.

    Asks `may_go_on` between two pieces. Does nothing for one that has begun; one whose list
    or segment was deleted before has failed.
    """
    audience = CampaignAudience.objects.get(campaign=campaign)
    try:
        if audience.last_contact is None:
            _bound(audience)
        while not audience.is_fixed:
            if not may_go_on():
                return False
            _write_piece(campaign, audience)
    except AudienceLost:
        return False
    except AudienceGone as gone:
        fail(campaign, str(gone))
        return False
    return _begin(campaign)


def not_mailable(tenant: Tenant, contacts: dict[int, str], emails: list[str]) -> dict[str, str]:
    """Of the people about to be written to, those who must not be, each with the reason.

    `contacts` maps the keys of contacts to their addresses, `emails` are all addresses.
    """
    suppressed = Suppression.objects.filter(tenant=tenant, email__among=emails)
    reasons = dict.fromkeys(suppressed.values_list("email", flat=True), SUPPRESSED)
    reasons |= dict.fromkeys(ErasedAddress.objects.among(tenant.pk, emails), ERASED)
    reasons |= {email: ERASED for email in emails if email.endswith(f"@{ERASED_DOMAIN}")}
    mailable = Contact.objects.mailable(tenant).filter(pk__among=contacts)
    subscribed = set(mailable.values_list("pk", flat=True))
    for pk, email in contacts.items():
        if pk not in subscribed:
            reasons.setdefault(email, NOT_SUBSCRIBED)
    return reasons


def bare_addresses(campaign: Campaign) -> frozenset[str]:
    """The addresses that it goes to as they were given, contacts or not."""
    rules = CampaignAudience.objects.filter(campaign=campaign).values_list("rule", flat=True)
    return frozenset(address for rule in rules for address in rule.get(EMAILS, ()))


def _bound(audience: CampaignAudience) -> None:
    """Who is there now may be written to; who comes later is not meant.

    What the segments say now is what they say for this campaign.
    """
    tenant = audience.campaign.tenant
    rule = as_it_stands(tenant, audience.rule)
    newest = Contact.objects.filter(tenant=tenant).aggregate(newest=Max("pk"))["newest"] or 0
    CampaignAudience.objects.filter(pk=audience.pk, last_contact=None).update(
        last_contact=newest, rule=rule
    )
    audience.refresh_from_db(fields=["last_contact", "rule"])


def as_it_stands(tenant: Tenant, rule: dict[str, Any]) -> dict[str, Any]:
    """The same with the rules of its segments now, its lists being there. Raises AudienceGone."""
    lists = set(rule.get(LISTS, ()))
    if ContactList.objects.filter(tenant=tenant, pk__in=lists).count() < len(lists):
        raise AudienceGone("A list that this campaign is for was deleted.")
    return {**rule, SEGMENTS: _rules_of(tenant, rule)}


def _rules_of(tenant: Tenant, rule: dict[str, Any]) -> list[dict[str, Any]]:
    segments: list[int | dict[str, Any]] = rule.get(SEGMENTS, [])
    keys = [each for each in segments if isinstance(each, int)]
    kept = dict(Segment.objects.filter(tenant=tenant, pk__in=keys).values_list("pk", "rule"))
    if len(kept) < len(set(keys)):
        raise AudienceGone("A segment that this campaign is for was deleted.")
    return [kept[each] if isinstance(each, int) else each for each in segments]


def asks_contacts(rule: dict[str, Any]) -> bool:
    return any(rule.get(name) for name in (EVERYONE, LISTS, SEGMENTS))


def meant(rule: dict[str, Any], *, one_by_one: bool) -> Q:
    """A condition on contacts; see `contacts.segments.compiling.matching` for `one_by_one`.

    Raises AudienceGone where a segment asks for a list that is there no more.
    """
    if rule.get(EVERYONE):
        return Q()
    members = ListMember.objects.filter(list__in=rule.get(LISTS, ()), state=MemberState.SUBSCRIBED)
    if one_by_one:
        condition = Q(Exists(members.filter(contact=OuterRef("pk"))))
    else:
        condition = Q(pk__in=members.values("contact"))
    try:
        for segment in rule.get(SEGMENTS, ()):
            condition |= meaning(read_rule(segment), one_by_one=one_by_one)
    except ListGone as gone:
        words = "A list that a segment of this campaign asks for was deleted."
        raise AudienceGone(words) from gone
    return condition


def _write_piece(campaign: Campaign, audience: CampaignAudience) -> None:
    are_contacts_left = audience.position < (audience.last_contact or 0)
    if asks_contacts(audience.rule) and are_contacts_left:
        _write_contacts(campaign, audience)
    else:
        _write_addresses(campaign, audience)


def _write_contacts(campaign: Campaign, audience: CampaignAudience) -> None:
    """Who they are is asked before the transaction; that they may be mailed, within it.

    Where everybody is meant there is nothing to ask but where the piece ends.
    """
    mailable = Contact.objects.mailable(campaign.tenant)
    left = Q(pk__gt=audience.position, pk__lte=audience.last_contact)
    is_for_everyone = bool(audience.rule.get(EVERYONE))
    people = Contact.objects.filter(left, tenant=campaign.tenant)
    if not is_for_everyone:
        people = mailable.filter(left, meant(audience.rule, one_by_one=True))
    keys = list(people.order_by("pk").values_list("pk", flat=True)[:CONTACTS_A_PIECE])
    is_last = len(keys) < CONTACTS_A_PIECE
    end = audience.last_contact if is_last else keys[-1]
    chosen = Q(pk__gt=audience.position, pk__lte=end) if is_for_everyone else Q(pk__among=keys)
    with transaction.atomic():
        _advance(audience, position=end, is_fixed=is_last and not audience.rule.get(EMAILS))
        if keys:
            keep_contacts(campaign.tenant)
            _insert_from(campaign, mailable.filter(chosen))


def _insert_from(campaign: Campaign, people: QuerySet[Contact]) -> None:
    """INSERT … SELECT: what is known of them never passes through Python."""
    rows = people.order_by("pk").values_list(
        Value(campaign.pk, output_field=IntegerField()),
        F("pk"),
        F("email"),
        Value(str(DeliveryState.QUEUED), output_field=CharField()),
        Value(0, output_field=IntegerField()),
        Value("", output_field=CharField()),
        Value("", output_field=CharField()),
        Value("", output_field=CharField()),
    )
    sql, values = rows.query.sql_with_params()
    columns = "campaign_id, contact_id, email, state, attempts, message_id, provider_id, reply"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO campaign_deliveries ({columns}) {sql}", values)


def _write_addresses(campaign: Campaign, audience: CampaignAudience) -> None:
    emails: list[str] = audience.rule.get(EMAILS, [])
    piece = emails[audience.emails_position : audience.emails_position + ADDRESSES_A_PIECE]
    end = audience.emails_position + len(piece)
    now = timezone.now()
    with transaction.atomic():
        _advance(audience, emails_position=end, is_fixed=end >= len(emails))
        keep_contacts(campaign.tenant)
        known = Contact.objects.filter(tenant=campaign.tenant, email__among=piece)
        addresses: dict[int, str] = dict(known.values_list("pk", "email"))
        contacts = {email: pk for pk, email in addresses.items()}
        reasons = not_mailable(campaign.tenant, addresses, piece)
        Delivery.objects.bulk_create(
            (
                Delivery(
                    campaign=campaign,
                    contact_id=contacts.get(email),
                    email=email,
                    state=DeliveryState.SKIPPED if email in reasons else DeliveryState.QUEUED,
                    reply=reasons.get(email, ""),
                    finished_at=now if email in reasons else None,
                )
                for email in piece
            ),
            ignore_conflicts=True,
        )


def _advance(audience: CampaignAudience, **changes: Any) -> None:
    """Move on in the same transaction as the rows; raises AudienceLost where another did."""
    mine = CampaignAudience.objects.filter(
        pk=audience.pk,
        position=audience.position,
        emails_position=audience.emails_position,
        is_fixed=False,
        campaign__status=CampaignStatus.PENDING,
    )
    if not mine.update(**changes):
        raise AudienceLost
    for name, value in changes.items():
        setattr(audience, name, value)


def _begin(campaign: Campaign) -> bool:
    """Pending becomes in progress; the rows are counted once more."""
    now = timezone.now()
    total = Delivery.objects.filter(campaign=campaign).count()
    begun = {"status": CampaignStatus.IN_PROGRESS, "started_at": now, "total_contacts": total}
    pending = Campaign.objects.filter(pk=campaign.pk, status=CampaignStatus.PENDING)
    with transaction.atomic():
        has_begun = pending.update(updated_at=now, **begun)
        if has_begun:
            for name, value in begun.items():
                setattr(campaign, name, value)
            keep_links(campaign)
            tell_of(campaign)
    if not has_begun:
        campaign.refresh_from_db(fields=["status", "started_at", "total_contacts"])
    return campaign.started_at is not None

"""How many an audience would reach now, and who is left out of it, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Exists, OuterRef, Q

from accounts.models import Tenant
from campaigns.audience import (
    ADDRESSES_A_PIECE,
    EMAILS,
    EVERYONE,
    LISTS,
    SEGMENTS,
    as_it_stands,
    asks_contacts,
    meant,
)
from contacts.models import (
    Contact,
    ContactStatus,
    ErasedAddress,
    ListMember,
    MemberState,
    Suppression,
)


@dataclass(frozen=True, slots=True)
class AudienceCount:
    """`total` get a message. The others were named and get none, or no second one.

    `suppressed` are on the suppression list, `unsubscribed` left, bounced or complained,
    `pending` have not confirmed yet that they want to be on a list, `duplicate` were named more
    than once, counted by each time too many.
    """

    total: int = 0
    suppressed: int = 0
    unsubscribed: int = 0
    pending: int = 0
    duplicate: int = 0

    @property
    def left_out(self) -> int:
        """How many names lead to no message."""
        return self.suppressed + self.unsubscribed + self.pending + self.duplicate


def count_audience(tenant: Tenant, rule: dict[str, Any], repeated: int = 0) -> AudienceCount:
    """Count whom the rule means; `repeated` addresses were given more than once.

    Raises AudienceGone where a list or a segment is there no more.
    """
    rule = as_it_stands(tenant, rule)
    people = Contact.objects.filter(tenant=tenant).filter(meant(rule, one_by_one=False))
    counted = AudienceCount(duplicate=repeated)
    if asks_contacts(rule):
        counted = _count_contacts(tenant, rule, repeated)
    return _add_addresses(tenant, rule, people, counted)


def _count_contacts(tenant: Tenant, rule: dict[str, Any], repeated: int) -> AudienceCount:
    condition = meant(rule, one_by_one=False)
    named = Contact.objects.filter(tenant=tenant).filter(condition)
    mailable = Contact.objects.mailable(tenant).filter(condition).count()
    everybody = named.count()
    suppressions = Suppression.objects.filter(
        tenant_id=OuterRef("tenant_id"), email=OuterRef("email")
    )
    suppressed = named.filter(Exists(suppressions)).count() if everybody > mailable else 0
    return AudienceCount(
        total=mailable,
        suppressed=suppressed,
        unsubscribed=everybody - mailable - suppressed + _left_their_list(tenant, rule, condition),
        pending=_pending(tenant, rule, condition),
        duplicate=repeated + _named_twice(tenant, rule, everybody),
    )


def _left_their_list(tenant: Tenant, rule: dict[str, Any], condition: Q) -> int:
    """Who has left one of the lists, and is meant by nothing else."""
    if rule.get(EVERYONE) or not rule.get(LISTS):
        return 0
    left = ListMember.objects.filter(list__in=rule[LISTS], state=MemberState.UNSUBSCRIBED)
    people = Contact.objects.filter(tenant=tenant, pk__in=left.values("contact"))
    return people.exclude(condition).count()


def _pending(tenant: Tenant, rule: dict[str, Any], condition: Q) -> int:
    """Who has not confirmed one of the lists, left none of them, and is meant by nothing else."""
    if rule.get(EVERYONE) or not rule.get(LISTS):
        return 0
    members = ListMember.objects.filter(list__in=rule[LISTS])
    asked = members.filter(state=MemberState.PENDING).values("contact")
    left = members.filter(state=MemberState.UNSUBSCRIBED).values("contact")
    people = Contact.objects.filter(tenant=tenant, pk__in=asked).exclude(pk__in=left)
    return people.exclude(condition).exclude(email__among=rule.get(EMAILS, [])).count()


def _named_twice(tenant: Tenant, rule: dict[str, Any], everybody: int) -> int:
    """By how much the lists and segments one by one are more than all together."""
    parts = [{LISTS: [key]} for key in rule.get(LISTS, ())]
    parts += [{SEGMENTS: [segment]} for segment in rule.get(SEGMENTS, ())]
    if rule.get(EVERYONE) or len(parts) < 2:
        return 0
    contacts = Contact.objects.filter(tenant=tenant)
    return sum(contacts.filter(meant(part, one_by_one=False)).count() for part in parts) - everybody


def _add_addresses(
    tenant: Tenant, rule: dict[str, Any], people: Any, counted: AudienceCount
) -> AudienceCount:
    """Addresses that are no contact's get a message too, unless they must not."""
    emails: list[str] = rule.get(EMAILS, [])
    total, suppressed = counted.total, counted.suppressed
    unsubscribed, duplicate = counted.unsubscribed, counted.duplicate
    for start in range(0, len(emails), ADDRESSES_A_PIECE):
        piece = set(emails[start : start + ADDRESSES_A_PIECE])
        if asks_contacts(rule):
            twice = set(people.filter(email__in=piece).values_list("email", flat=True))
            duplicate += len(twice)
            piece -= twice
        rows = Suppression.objects.filter(tenant=tenant, email__in=piece)
        refused = set(rows.values_list("email", flat=True))
        refused |= set(ErasedAddress.objects.among(tenant.pk, list(piece)))
        suppressed += len(refused)
        piece -= refused
        known = Contact.objects.filter(tenant=tenant, email__in=piece)
        gone = known.exclude(status=ContactStatus.SUBSCRIBED).count()
        unsubscribed += gone
        total += len(piece) - gone
    return replace(
        counted,
        total=total,
        suppressed=suppressed,
        unsubscribed=unsubscribed,
        duplicate=duplicate,
    )

"""What follows from news of a delivery: whom to write to no more, and whether to go on at all.

    hard bounce          suppressed at once
    soft, unclear        suppressed after five messages in a row came back so
    policy, content …    nothing: they are not about the recipient
    complaint, opt-out   suppressed at once, and off all lists

To be called in the transaction that notes the news, so that none is noted without this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from accounts.models import Tenant
from campaigns.feedback.recording import News, is_erased
from campaigns.feedback.thresholds import watch_rates
from campaigns.models import Campaign, Delivery, DeliveryEvent, DeliveryState, EventKind
from contacts.models import (
    Contact,
    ContactStatus,
    ListMember,
    MemberState,
    Suppression,
    SuppressionReason,
)
from mailhub.mail.bounce import Verdict

IN_A_ROW = 5
_SOFT = (Verdict.SOFT, Verdict.UNCLEAR)
_ENDED = (DeliveryState.SENT, DeliveryState.FAILED)
_COUNTED = (EventKind.BOUNCE, EventKind.COMPLAINT)


@dataclass(slots=True)
class _Leaving:
    """The addresses of one tenant by why they are written to no more."""

    tenant: Tenant
    bounced: set[str] = field(default_factory=set)
    complained: set[str] = field(default_factory=set)
    opted_out: set[str] = field(default_factory=set)


def draw_consequences(news: Sequence[News]) -> None:
    """Suppress whom these are about where they call for it, and look at their campaigns' rates."""
    leaving: dict[object, _Leaving] = {}
    counted: dict[int, Campaign] = {}
    for each in news:
        delivery = each.delivery
        campaign = delivery.campaign
        if each.report.kind in _COUNTED:
            counted[campaign.pk] = campaign
        if is_erased(delivery):
            continue
        people = leaving.setdefault(campaign.tenant_id, _Leaving(Tenant(pk=campaign.tenant_id)))
        _sort(each, people)
    for people in leaving.values():
        suppress_bounced(people.tenant, people.bounced)
        suppress_complained(people.tenant, people.complained)
        suppress_opted_out(people.tenant, people.opted_out)
    for key in sorted(counted):
        watch_rates(counted[key])


def _sort(news: News, people: _Leaving) -> None:
    email, verdict = news.delivery.email, news.report.verdict
    match news.report.kind:
        case EventKind.BOUNCE if verdict is Verdict.HARD:
            people.bounced.add(email)
        case EventKind.BOUNCE if verdict in _SOFT and _came_back_in_a_row(news.delivery):
            people.bounced.add(email)
        case EventKind.COMPLAINT if verdict in (None, Verdict.COMPLAINT):
            people.complained.add(email)
        case _ if verdict is Verdict.OPT_OUT:
            people.opted_out.add(email)


def suppress_bounced(tenant: Tenant, emails: Iterable[str]) -> None:
    """Nobody reads what is sent to these addresses (normalised)."""
    _suppress(tenant, set(emails), SuppressionReason.BOUNCED, ContactStatus.BOUNCED)


def suppress_complained(tenant: Tenant, emails: Iterable[str]) -> None:
    """They called it spam: they are on no list any more, too."""
    _suppress(tenant, set(emails), SuppressionReason.COMPLAINED, ContactStatus.COMPLAINED)
    _leave_lists(tenant, emails)


def suppress_opted_out(tenant: Tenant, emails: Iterable[str]) -> None:
    """They said to their provider that they want no more."""
    _suppress(tenant, set(emails), SuppressionReason.UNSUBSCRIBED, ContactStatus.UNSUBSCRIBED)
    _leave_lists(tenant, emails)


def _suppress(
    tenant: Tenant, emails: set[str], reason: SuppressionReason, status: ContactStatus
) -> None:
    if not emails:
        return
    Suppression.objects.suppress(tenant, emails, reason)
    people = Contact.objects.filter(tenant=tenant, email__in=emails)
    # Who complained once stays known for that.
    weaker = people.exclude(status__in=(status, ContactStatus.COMPLAINED))
    weaker.update(status=status, updated_at=timezone.now())


def _leave_lists(tenant: Tenant, emails: Iterable[str]) -> None:
    emails = set(emails)
    if emails:
        keys = Contact.objects.filter(tenant=tenant, email__in=emails).values_list("pk", flat=True)
        members = ListMember.objects.filter(contact__in=list(keys))
        members.exclude(state=MemberState.UNSUBSCRIBED).update(
            state=MemberState.UNSUBSCRIBED, left_at=timezone.now(), ask_at=None
        )


def _came_back_in_a_row(delivery: Delivery) -> bool:
    """Whether the last five messages to this address all came back so."""
    if delivery.contact_id is not None:
        rows = Delivery.objects.filter(contact=delivery.contact_id, email=delivery.email)
    else:
        own = Campaign.objects.filter(tenant_id=delivery.campaign.tenant_id)
        keys = list(own.values_list("pk", flat=True))
        rows = Delivery.objects.filter(campaign__in=keys, email=delivery.email)
    newest = rows.filter(state__in=_ENDED).order_by("-finished_at", "-pk")
    latest = list(newest.values_list("pk", flat=True)[:IN_A_ROW])
    if len(latest) < IN_A_ROW:
        return False
    verdicts: dict[int, set[str]] = defaultdict(set)
    events = DeliveryEvent.objects.filter(delivery__in=latest, kind=EventKind.BOUNCE)
    for key, verdict in events.values_list("delivery", "verdict"):
        verdicts[key].add(verdict)
    return all(verdicts[key] & set(_SOFT) for key in latest)

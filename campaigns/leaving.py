"""Who leaves a list gets no more of a campaign to it, though the audience is fixed at the start.

To leave is a wish that holds at once, also while the campaign runs or is paused, and for whom
it is sent to again. To join one later changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from campaigns.audience import LISTS, SEGMENTS
from campaigns.models import Campaign, CampaignAudience
from contacts.models import ContactList, ListMember, MemberState
from contacts.segments.language import lists_named

LEFT = "The person left the list."


@dataclass(frozen=True, slots=True)
class AskedLists:
    """The lists that a campaign asks for; `alone` where it asks for nothing else of contacts."""

    keys: tuple[int, ...]
    alone: bool
    started_at: datetime | None


def lists_asked_by(campaign: Campaign) -> AskedLists:
    """By name, and by the rules of its segments as they were at the start."""
    audiences = CampaignAudience.objects.filter(campaign=campaign)
    # Not all of the rule, which may name very many addresses.
    asked = audiences.values_list(f"rule__{LISTS}", f"rule__{SEGMENTS}").first()
    lists, segments = asked or (None, None)
    keys = {*(lists or ()), *(key for segment in segments or () for key in lists_named(segment))}
    return AskedLists(tuple(sorted(keys)), bool(lists) and not segments, campaign.started_at)


def who_left(asked: AskedLists, contacts: Sequence[int]) -> set[int]:
    """Of these contacts those who are on none of the lists any more.

    Where a list was deleted, or segments are asked as well, they may never have been on one:
    then those who have left one since the start.
    """
    if not asked.keys or not contacts:
        return set()
    members = ListMember.objects.filter(list__in=asked.keys, contact__pk__among=contacts)
    if not asked.alone or _was_one_deleted(asked):
        leaving = members.filter(state=MemberState.UNSUBSCRIBED, left_at__gte=asked.started_at)
        left = set(leaving.values_list("contact_id", flat=True))
    else:
        left = set(contacts)
    staying = members.filter(state=MemberState.SUBSCRIBED)
    return left - set(staying.values_list("contact_id", flat=True))


def _was_one_deleted(asked: AskedLists) -> bool:
    return ContactList.objects.filter(pk__in=asked.keys).count() < len(asked.keys)

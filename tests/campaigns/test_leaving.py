"""Who leaves a list while a campaign to it is under way gets no more of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from campaigns.audience import Recipients, fix_audience
from campaigns.lifecycle import pause_campaign, resume_campaign
from campaigns.models import Campaign, Delivery
from contacts.models import Contact, ContactList, ListMember
from tests.campaigns.conftest import Campaigns, states

LEFT = "The person left the list."
IS_A_FIRST = {"field": "first_name", "op": "begins_with", "value": "First"}


@pytest.fixture
def lists(campaigns: Campaigns) -> tuple[ContactList, ContactList]:
    """News with four people, offers with the first of them."""
    contacts = campaigns.add_contacts(4)
    news, offers = (
        ContactList.objects.create(tenant=campaigns.people.tenant, name=name)
        for name in ("News", "Offers")
    )
    ListMember.objects.bulk_create(ListMember(list=news, contact=each) for each in contacts)
    ListMember.objects.create(list=offers, contact=contacts[0])
    return news, offers


def begin(campaigns: Campaigns, recipients: Recipients) -> Campaign:
    """A campaign whose audience is fixed, held before its first message."""
    campaign = campaigns.create(recipients=recipients)
    assert fix_audience(campaign)
    pause_campaign(campaign)
    return campaign


def leave(campaigns: Campaigns, left: ContactList, number: int) -> None:
    path = f"/api/lists/{left.pk}/members/person{number}@example.com"
    answer = campaigns.people.member.api.patch(path, {"state": "unsubscribed"}, format="json")
    assert answer.status_code == 200, answer.content


def take_off(campaigns: Campaigns, left: ContactList, number: int) -> None:
    path = f"/api/lists/{left.pk}/members/person{number}@example.com"
    assert campaigns.people.member.api.delete(path).status_code == 204


def finish(campaigns: Campaigns, campaign: Campaign) -> dict[str, str]:
    """By recipient the state, and why it was left out."""
    campaign.refresh_from_db()
    resume_campaign(campaign)
    campaign = campaigns.finish(campaign)
    rows = Delivery.objects.filter(campaign=campaign).values_list("email", "state", "reply")
    assert set(campaigns.received()) == {email for email, state, _ in rows if state == "sent"}
    return {
        email.partition("@")[0]: reply if state == "skipped" else state
        for email, state, reply in rows
    }


@pytest.mark.parametrize("go", [leave, take_off])
def test_who_is_on_the_list_no_more_is_skipped(
    campaigns: Campaigns,
    lists: tuple[ContactList, ContactList],
    go: Callable[[Campaigns, ContactList, int], None],
) -> None:
    news, offers = lists
    campaign = begin(campaigns, Recipients(lists=(news.pk, offers.pk)))
    go(campaigns, news, 0)
    go(campaigns, news, 1)
    found = finish(campaigns, campaign)
    # The first is on the other list still.
    assert found == {"person0": "sent", "person1": LEFT, "person2": "sent", "person3": "sent"}


def test_who_is_named_by_address_gets_it_all_the_same(
    campaigns: Campaigns, lists: tuple[ContactList, ContactList]
) -> None:
    news, _ = lists
    named = ("person1@example.com",)
    campaign = begin(campaigns, Recipients(lists=(news.pk,), emails=named))
    leave(campaigns, news, 1)
    leave(campaigns, news, 2)
    found = finish(campaigns, campaign)
    assert found == {"person0": "sent", "person1": "sent", "person2": LEFT, "person3": "sent"}


def test_beside_a_segment_those_are_skipped_who_left_since_the_start(
    campaigns: Campaigns, lists: tuple[ContactList, ContactList]
) -> None:
    news, offers = lists
    leave(campaigns, news, 3)
    campaign = begin(campaigns, Recipients(lists=(offers.pk,), segments=({"list": news.pk},)))
    assert states(campaign) == {"queued": 3}
    leave(campaigns, news, 1)
    assert finish(campaigns, campaign) == {"person0": "sent", "person1": LEFT, "person2": "sent"}


def test_who_left_before_the_start_and_is_meant_by_a_segment_gets_it(
    campaigns: Campaigns, lists: tuple[ContactList, ContactList]
) -> None:
    news, _ = lists
    leave(campaigns, news, 3)
    campaign = begin(campaigns, Recipients(lists=(news.pk,), segments=(IS_A_FIRST,)))
    assert set(finish(campaigns, campaign).values()) == {"sent"}


def test_a_list_that_is_deleted_meanwhile_takes_nobody_away(
    campaigns: Campaigns, lists: tuple[ContactList, ContactList]
) -> None:
    news, _ = lists
    campaign = begin(campaigns, Recipients(lists=(news.pk,)))
    news.delete()
    assert set(finish(campaigns, campaign).values()) == {"sent"}
    assert Contact.objects.count() == 4

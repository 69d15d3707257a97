"""The audience: fixed once, in pieces, whoever fixes it and however often they are stopped."""

from __future__ import annotations

from typing import Any

import pytest

from campaigns.audience import ADDRESSES_A_PIECE, CONTACTS_A_PIECE, Recipients, fix_audience
from campaigns.lifecycle import cancel_campaign
from campaigns.models import Campaign, CampaignAudience, CampaignStatus, Delivery
from campaigns.progress import measure_progress
from contacts.models import Contact, ContactList, ListMember, MemberState, Segment, Suppression
from tests.campaigns.conftest import Campaigns, states
from tests.people import People

_CAMPAIGN = {
    "subject": "Hello",
    "body": "<p>Hello</p>",
    "from_email": "shop@example.org",
    "smtp_server": "127.0.0.1",
    "smtp_encryption": "none",
}


def stopping_after(pieces: int) -> list[bool]:
    """Answers to `may_go_on`, to be popped: yes so often, then no."""
    return [False] + [True] * pieces


def test_a_worker_that_was_stopped_is_followed_by_one_that_goes_on(campaigns: Campaigns) -> None:
    count = 2 * CONTACTS_A_PIECE + 100
    campaigns.add_contacts(count)
    campaign = campaigns.create()
    answers = stopping_after(1)
    assert not fix_audience(campaign, answers.pop)
    assert Delivery.objects.count() == CONTACTS_A_PIECE
    progress = measure_progress(Campaign.objects.get())
    assert (progress.status, progress.total, progress.remaining) == ("pending", count, count)
    assert fix_audience(campaign)
    assert Delivery.objects.values("email").distinct().count() == count
    assert campaign.total_contacts == count
    assert campaign.status == CampaignStatus.IN_PROGRESS
    assert fix_audience(campaign)
    assert Delivery.objects.count() == count


def test_of_two_workers_at_once_one_writes(campaigns: Campaigns) -> None:
    campaigns.add_contacts(2 * CONTACTS_A_PIECE + 100)
    campaign = campaigns.create()
    same = Campaign.objects.get()
    assert not fix_audience(campaign, stopping_after(1).pop)

    def other_goes_on() -> bool:
        return fix_audience(campaign)

    assert not fix_audience(same, other_goes_on)
    assert Delivery.objects.count() == 2 * CONTACTS_A_PIECE + 100
    assert fix_audience(same)


def test_who_becomes_a_contact_after_the_start_is_not_meant(campaigns: Campaigns) -> None:
    campaigns.add_contacts(CONTACTS_A_PIECE + 1)
    campaign = campaigns.create()
    fix_audience(campaign, stopping_after(1).pop)
    Contact.objects.create(tenant=campaigns.people.tenant, email="late@example.com")
    assert fix_audience(campaign)
    assert not Delivery.objects.filter(email="late@example.com").exists()


def test_other_tenants_are_not_written_to(campaigns: Campaigns) -> None:
    campaigns.add_contacts(3)
    Contact.objects.create(tenant=campaigns.people.other_tenant, email="other@example.com")
    assert fix_audience(campaigns.create())
    assert not Delivery.objects.filter(email="other@example.com").exists()


def test_a_cancelled_campaign_gets_no_audience(campaigns: Campaigns) -> None:
    campaigns.add_contacts(3)
    campaign = campaigns.create()
    cancel_campaign(Campaign.objects.get())
    assert not fix_audience(campaign)
    assert not Delivery.objects.exists()
    assert not CampaignAudience.objects.get().is_fixed


def test_a_contact_deleted_before_its_turn_is_skipped(campaigns: Campaigns) -> None:
    contacts = campaigns.add_contacts(3)
    campaign = campaigns.create()
    assert fix_audience(campaign)
    contacts[1].delete()
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 2, "skipped": 1}
    row = Delivery.objects.get(state="skipped")
    assert (row.email, row.reply) == ("person1@example.com", "The contact was deleted.")


def test_a_tenants_campaigns_go_with_it(people: People) -> None:
    Contact.objects.create(tenant=people.tenant, email="a@example.com")
    campaign = Campaigns(people).create()
    assert fix_audience(campaign)
    people.tenant.delete()
    assert not Delivery.objects.exists()


def subscribe(contact_list: ContactList, *contacts: Contact) -> None:
    ListMember.objects.bulk_create(
        ListMember(list=contact_list, contact=contact) for contact in contacts
    )


def recipients_of(campaign: Campaign) -> dict[str, str]:
    """Address → state, without the domain that all of them share."""
    rows = Delivery.objects.filter(campaign=campaign).values_list("email", "state")
    return {email.removesuffix("@example.com"): state for email, state in rows}


def make_list(campaigns: Campaigns, name: str = "News") -> ContactList:
    return ContactList.objects.create(tenant=campaigns.people.tenant, name=name)


def test_lists_segments_and_addresses_together_reach_each_person_once(
    campaigns: Campaigns,
) -> None:
    contacts = campaigns.add_contacts(8)
    news, offers = make_list(campaigns, "News"), make_list(campaigns, "Offers")
    subscribe(news, *contacts[:3])
    subscribe(offers, *contacts[2:4])
    left = contacts[4]
    ListMember.objects.create(list=news, contact=left, state=MemberState.UNSUBSCRIBED)
    ListMember.objects.create(list=offers, contact=contacts[5], state=MemberState.PENDING)
    Contact.objects.filter(pk=contacts[1].pk).update(status="unsubscribed")
    Suppression.objects.suppress(campaigns.people.tenant, ["held@example.com"])
    emails = ("person0@example.com", "bare@example.com", "held@example.com", "person1@example.com")
    campaign = campaigns.create(
        recipients=Recipients(
            lists=(news.pk, offers.pk),
            segments=({"field": "first_name", "op": "is_one_of", "value": ["first3", "first7"]},),
            emails=(*emails, "bare@example.com"),
        )
    )
    assert campaign.total_contacts == 4 + 3
    assert fix_audience(campaign)
    assert recipients_of(campaign) == {
        **dict.fromkeys(("person0", "person2", "person3", "person7", "bare"), "queued"),
        **dict.fromkeys(("held", "person1"), "skipped"),
    }
    assert campaign.total_contacts == 7
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 5, "skipped": 2}
    assert set(campaigns.received().values()) == {1}


def test_a_mixed_audience_is_written_by_workers_that_are_stopped(campaigns: Campaigns) -> None:
    contacts = campaigns.add_contacts(CONTACTS_A_PIECE + 100)
    news = make_list(campaigns)
    subscribe(news, *contacts)
    emails = tuple(f"bare{number}@example.com" for number in range(ADDRESSES_A_PIECE + 50))
    campaign = campaigns.create(
        recipients=Recipients(lists=(news.pk,), emails=(*emails, "person7@example.com"))
    )
    rounds = 0
    while not fix_audience(campaign, stopping_after(1).pop):
        rounds += 1
    assert rounds == 3
    assert len(recipients_of(campaign)) == CONTACTS_A_PIECE + ADDRESSES_A_PIECE + 150


def test_a_contact_of_a_list_that_was_deleted_is_skipped_beside_bare_addresses(
    campaigns: Campaigns,
) -> None:
    (contact,) = campaigns.add_contacts(1)
    news = make_list(campaigns)
    subscribe(news, contact)
    campaign = campaigns.create(
        recipients=Recipients(lists=(news.pk,), emails=("bare@example.com",))
    )
    assert fix_audience(campaign)
    contact.delete()
    campaign = campaigns.finish(campaign)
    assert recipients_of(campaign) == {"person0": "skipped", "bare": "sent"}


def test_a_segment_means_what_it_says_at_the_start(campaigns: Campaigns) -> None:
    campaigns.add_contacts(3)
    segment = Segment.objects.create(
        tenant=campaigns.people.tenant,
        name="First",
        rule={"field": "email", "op": "begins_with", "value": "person0"},
    )
    campaign = campaigns.create(recipients=Recipients(segments=(segment.pk,)))
    assert campaign.total_contacts == 1
    segment.rule = {"field": "email", "op": "begins_with", "value": "person"}
    segment.save()
    assert not fix_audience(campaign, lambda: False)
    segment.delete()
    assert fix_audience(campaign)
    assert len(recipients_of(campaign)) == 3


@pytest.mark.parametrize("what", ["list", "segment"])
def test_a_list_or_segment_that_is_gone_fails_the_campaign_in_words(
    campaigns: Campaigns, what: str
) -> None:
    campaigns.add_contacts(1)
    news = make_list(campaigns)
    subscribe(news, *Contact.objects.all())
    segment = Segment.objects.create(
        tenant=campaigns.people.tenant, name="All", rule={"field": "email", "op": "is_set"}
    )
    if what == "list":
        campaign = campaigns.create(recipients=Recipients(lists=(news.pk,)))
    else:
        campaign = campaigns.create(recipients=Recipients(segments=(segment.pk,)))
    news.delete()
    segment.delete()
    campaign = campaigns.finish(campaign)
    assert campaign.status == CampaignStatus.FAILED
    assert campaign.last_error == f"A {what} that this campaign is for was deleted."
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"list_ids": [987654321]}, "list_ids"),
        ({"list_ids": []}, "list_ids"),
        ({"segment": 987654321}, "segment"),
        ({"segment": -1}, "segment"),
        ({"segment": True}, "segment"),
        ({"segment": {"field": "shoe_size", "op": "is", "value": "38"}}, "segment.field"),
    ],
)
def test_lists_and_segments_that_are_none_are_refused(
    campaigns: Campaigns, given: dict[str, Any], field: str
) -> None:
    campaigns.add_contacts(1)
    answer = campaigns.people.member.api.post("/api/smtp-campaign", {**_CAMPAIGN, **given})
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["details"]["fields"]
    assert not Campaign.objects.exists()


def test_a_campaign_by_list_and_segment_over_the_api(campaigns: Campaigns) -> None:
    contacts = campaigns.add_contacts(4)
    news = make_list(campaigns)
    subscribe(news, contacts[0])
    rule = {"field": "first_name", "op": "is", "value": "First2"}
    answer = campaigns.people.member.api.post(
        "/api/smtp-campaign", {**_CAMPAIGN, "list_ids": [news.pk], "segment": rule}
    )
    assert answer.status_code == 202, answer.content
    assert answer.json()["total_contacts"] == 2
    assert fix_audience(Campaign.objects.get())
    assert set(recipients_of(Campaign.objects.get())) == {"person0", "person2"}

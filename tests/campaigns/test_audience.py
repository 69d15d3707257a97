"""The audience: fixed once, in pieces, whoever fixes it and however often they are stopped."""

from __future__ import annotations

from campaigns.audience import CONTACTS_A_PIECE, fix_audience
from campaigns.lifecycle import cancel_campaign
from campaigns.models import Campaign, CampaignAudience, CampaignStatus, Delivery
from campaigns.progress import measure_progress
from contacts.models import Contact
from tests.campaigns.conftest import Campaigns, states
from tests.people import People


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

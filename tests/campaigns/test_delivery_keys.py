"""Deliveries point to campaigns and contacts that are there, whoever deletes those, and when."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest
from django.db import connection, connections, transaction

from campaigns.audience import ADDRESSES_A_PIECE, Recipients, fix_audience
from campaigns.drafting import delete_campaign
from campaigns.lifecycle import cancel_campaign
from campaigns.models import Campaign, CampaignAudience, Delivery
from campaigns.tallies import wrong_tallies
from contacts.holdings import erase_person
from contacts.models import Contact
from tests.campaigns.conftest import Campaigns

# Long enough for a deletion that waits for nobody to be over.
_HEAD_START = 1.0


def dangling() -> list[Delivery]:
    """Deliveries whose contact or campaign is not there."""
    lost = Delivery.objects.exclude(contact=None).exclude(contact__in=Contact.objects.all())
    return [*lost, *Delivery.objects.exclude(campaign__in=Campaign.objects.all())]


def while_an_audience_is_written(
    campaign: Campaign, act: Callable[[], object], pieces: int = 1
) -> None:
    """Somebody acts on another connection when pieces are written, and not yet to be seen."""

    def by_another() -> None:
        try:
            act()
        finally:
            connections.close_all()

    assert not fix_audience(campaign, lambda: False)
    answers = [False] + [True] * pieces
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            fix_audience(campaign, answers.pop)
            assert Delivery.objects.exists()
            acting: Future[None] = pool.submit(by_another)
            wait([acting], timeout=_HEAD_START)
        acting.result(timeout=60)


def test_a_contact_deleted_while_its_delivery_is_written(campaigns: Campaigns) -> None:
    contacts = campaigns.add_contacts(3)
    campaign = campaigns.create()
    while_an_audience_is_written(campaign, contacts[1].delete)
    assert dangling() == []
    of = dict(Delivery.objects.values_list("email", "contact"))
    assert of == {
        "person0@example.com": contacts[0].pk,
        "person1@example.com": None,
        "person2@example.com": contacts[2].pk,
    }


def test_many_contacts_deleted_by_a_statement_alone(campaigns: Campaigns) -> None:
    contacts = campaigns.add_contacts(3)
    fix_audience(campaigns.create())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM contacts WHERE id <> %s", [contacts[0].pk])
    assert dangling() == []
    assert Delivery.objects.filter(contact=None).count() == 2


def test_a_person_erased_while_its_delivery_is_written_is_named_nowhere(
    campaigns: Campaigns,
) -> None:
    contacts = campaigns.add_contacts(2)
    campaign = campaigns.create()
    while_an_audience_is_written(campaign, lambda: erase_person(campaign.tenant, contacts[1].email))
    assert dangling() == []
    assert not Delivery.objects.filter(email="person1@example.com").exists()
    assert Delivery.objects.filter(email__endswith="@erased.invalid", state="skipped").count() == 1


def test_a_campaign_deleted_while_its_audience_is_written(campaigns: Campaigns) -> None:
    emails = tuple(f"someone{number}@example.com" for number in range(ADDRESSES_A_PIECE + 1))
    campaign = campaigns.create(recipients=Recipients(emails=emails))

    def delete() -> None:
        same = Campaign.objects.get(pk=campaign.pk)
        cancel_campaign(same)
        delete_campaign(same)

    while_an_audience_is_written(campaign, delete)
    assert not Campaign.objects.exists()
    assert not Delivery.objects.exists()
    assert wrong_tallies() == {}


def test_a_campaign_deleted_by_a_statement_alone(campaigns: Campaigns) -> None:
    campaigns.add_contacts(3)
    campaign = campaigns.create()
    fix_audience(campaign)
    CampaignAudience.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM campaign_links WHERE campaign_id = %s", [campaign.pk])
        cursor.execute("DELETE FROM campaign_send_shifts WHERE campaign_id = %s", [campaign.pk])
        cursor.execute("DELETE FROM campaigns WHERE id = %s", [campaign.pk])
    assert not Delivery.objects.exists()
    assert wrong_tallies() == {}


def test_a_delivery_whose_piece_is_rolled_back_leaves_the_contact_free(
    campaigns: Campaigns,
) -> None:
    contacts = campaigns.add_contacts(1)
    campaign = campaigns.create()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        fix_audience(campaign)
        raise ZeroDivisionError
    contacts[0].delete()
    assert not Delivery.objects.exists()

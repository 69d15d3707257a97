"""Tallies: what they say is what the rows say, whoever changes the rows, at every moment."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from campaigns.audience import fix_audience
from campaigns.models import Campaign, CampaignTally, Delivery, DeliveryState
from campaigns.progress import measure_progress
from campaigns.tallies import counts_of, create_tallies, fold_tallies, wrong_tallies
from tests.campaigns.conftest import Campaigns


def begun(campaigns: Campaigns, contacts: int) -> Campaign:
    """A campaign whose audience is fixed, and none of whom was written to."""
    campaigns.add_contacts(contacts)
    campaign = campaigns.create()
    assert fix_audience(campaign)
    return campaign


def test_any_change_of_rows_is_counted(campaigns: Campaigns) -> None:
    campaign = begun(campaigns, 60)
    dice = random.Random(5)
    for _ in range(40):
        keys = dice.sample(list(Delivery.objects.values_list("pk", flat=True)), 7)
        match dice.randrange(5):
            case 0:
                Delivery.objects.filter(pk__in=keys).delete()
                Delivery.objects.bulk_create(
                    Delivery(campaign=campaign, email=f"new{dice.random()}@example.com")
                    for _ in keys
                )
            case 1:
                Delivery.objects.filter(pk__in=keys).update(reply="Nothing new.")
            case _:
                state = dice.choice(list(DeliveryState))
                Delivery.objects.filter(pk__in=keys).update(state=state)
        if dice.random() < 0.2:
            fold_tallies(campaign.pk)
        assert wrong_tallies() == {}
    assert sum(counts_of([campaign.pk])[campaign.pk].values()) == 60


def test_what_is_rolled_back_is_not_counted(campaigns: Campaigns) -> None:
    campaign = begun(campaigns, 3)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Delivery.objects.update(state=DeliveryState.SENT)
        assert counts_of([campaign.pk])[campaign.pk]["sent"] == 3
        raise ZeroDivisionError
    assert counts_of([campaign.pk])[campaign.pk]["queued"] == 3
    assert wrong_tallies() == {}


def test_a_campaign_that_was_sent_is_counted_right_and_its_tallies_are_few(
    campaigns: Campaigns,
) -> None:
    campaigns.add_contacts(300)
    campaign = campaigns.finish(campaigns.create())
    rows = Counter(Delivery.objects.filter(campaign=campaign).values_list("state", flat=True))
    assert rows == {"sent": 300}
    progress = measure_progress(campaign)
    assert (progress.total, progress.sent, progress.remaining) == (300, 300, 0)
    assert wrong_tallies() == {}
    assert CampaignTally.objects.filter(campaign=campaign).count() == 1


def test_a_deleted_campaign_leaves_no_tally(campaigns: Campaigns) -> None:
    campaign = begun(campaigns, 5)
    campaign.delete()
    assert not CampaignTally.objects.exists()


def test_the_command_tells_of_numbers_that_are_wrong_and_mends_them(
    campaigns: Campaigns, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = begun(campaigns, 5)
    call_command("check_tallies")
    assert "All numbers are right." in capsys.readouterr().out
    CampaignTally.objects.update(sent=3)
    with pytest.raises(CommandError):
        call_command("check_tallies")
    assert campaign.campaign_id in capsys.readouterr().out
    call_command("check_tallies", "--mend")
    call_command("check_tallies")
    Delivery.objects.update(state=DeliveryState.SENT)
    assert counts_of([campaign.pk])[campaign.pk]["sent"] == 5


def test_rows_from_before_the_tallies_are_counted(campaigns: Campaigns) -> None:
    campaign = begun(campaigns, 4)
    CampaignTally.objects.all().delete()
    create_tallies(connection)
    assert counts_of([campaign.pk])[campaign.pk]["queued"] == 4

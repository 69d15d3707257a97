"""Rate limits over all workers together, and the failures at which a campaign stops itself."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from campaigns.engine.allowance import Allowance, say_limits
from campaigns.lifecycle import resume_campaign
from campaigns.models import Campaign, CampaignStatus, PauseReason, SendAllowance
from campaigns.tasks import revive_campaigns
from mailhub.mail.transports.in_memory import Step
from tests.campaigns.conftest import Campaigns, states


def limited(**limits: int) -> Allowance:
    return Allowance("campaign:1", Campaign(**limits))


def age(seconds: int) -> None:
    """As if what was sent had been sent so long ago."""
    row = SendAllowance.objects.get()
    row.ledger = {
        name: {str(int(begin) - seconds): count for begin, count in counts.items()}
        for name, counts in row.ledger.items()
    }
    row.free_at = row.free_at and row.free_at - timedelta(seconds=seconds)
    row.save()


@pytest.mark.django_db
def test_an_hour_is_any_sixty_minutes() -> None:
    allowance = limited(rate_per_hour=100)
    assert allowance.take(70).count == 70
    age(1800)
    assert allowance.take(70).count == 30
    refused = allowance.take(1)
    assert refused.count == 0
    assert 1700 < refused.wait <= 1860
    age(1900)
    assert allowance.take(100).count == 70


@pytest.mark.django_db
def test_the_narrowest_limit_holds() -> None:
    allowance = limited(rate_per_second=1000, rate_per_hour=50, rate_per_day=40)
    assert allowance.take(500).count == 40
    age(3700)
    wait = allowance.take(1).wait
    assert 80_000 < wait < 86_400
    age(86_400)
    assert allowance.take(500).count == 40


@pytest.mark.django_db
def test_a_second_is_taken_in_parts() -> None:
    allowance = limited(rate_per_second=10)
    assert allowance.take(500).count == 2
    refused = allowance.take(500)
    assert refused.count == 0
    assert 0 < refused.wait <= 0.2
    age(1)
    assert allowance.take(500).count == 2


@pytest.mark.django_db
def test_what_was_not_used_is_given_back() -> None:
    allowance = limited(rate_per_day=10)
    assert allowance.take(10).count == 10
    allowance.give_back(4)
    assert allowance.take(10).count == 4


@pytest.mark.django_db(transaction=True)
def test_any_number_of_workers_share_one_allowance() -> None:
    taken: list[int] = []

    def work() -> None:
        try:
            taken.extend(limited(rate_per_hour=40).take(3).count for _ in range(10))
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 40


def test_a_campaign_waits_for_its_hour_and_goes_on_by_itself(campaigns: Campaigns) -> None:
    campaigns.add_contacts(30)
    campaign = campaigns.create(pacing={"rate_per_hour": 20})
    campaigns.work()
    campaigns.work()
    assert states(campaign) == {"sent": 20, "queued": 10}
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.IN_PROGRESS
    assert campaign.paced_until is not None
    assert campaign.paced_until > timezone.now() + timedelta(minutes=50)
    revive_campaigns()
    assert not campaigns.work()
    age(3700)
    Campaign.objects.update(paced_until=timezone.now())
    campaigns.finish(campaign)
    assert len(campaigns.received()) == 30


def test_a_campaign_keeps_to_its_seconds(campaigns: Campaigns) -> None:
    campaigns.add_contacts(12)
    campaign = campaigns.create(pacing={"rate_per_second": 20})
    campaigns.finish(campaign)
    campaign.refresh_from_db()
    assert campaign.started_at
    assert campaign.completed_at
    # Four at once, and then four in each fifth of a second.
    assert (campaign.completed_at - campaign.started_at).total_seconds() >= 0.4


def refuse(campaigns: Campaigns, **options: Any) -> None:
    campaigns.server.script.answer(Step.RCPT, "550 5.1.1 No such user", times=None, **options)


def test_too_many_failures_pause_it_and_say_why(campaigns: Campaigns) -> None:
    campaigns.add_contacts(400)
    refuse(campaigns)
    campaign = campaigns.create(pacing={"rate_per_second": 100})
    while campaigns.work():
        campaign.refresh_from_db()
        if campaign.status == CampaignStatus.PAUSED:
            break
    assert (campaign.status, campaign.pause_reason) == ("paused", PauseReason.FAILURES)
    assert "failed" in campaign.last_error
    assert "20 %" in campaign.last_error
    failed = states(campaign)["failed"]
    assert 100 <= failed < 400
    resume_campaign(campaign)
    assert (campaign.pause_reason, campaign.judged_failed) == ("", failed)


def test_few_are_tried_before_the_pause_and_after_a_resume(campaigns: Campaigns) -> None:
    for contact in campaigns.add_contacts(2_000):
        if contact.pk % 2:
            campaigns.server.script.answer(Step.RCPT, "550 5.7.1 No", address=contact.email)
    campaign = campaigns.create(pacing={"failure_limit": 20})
    tried = 0
    for _ in range(2):
        while campaigns.work():
            campaign.refresh_from_db()
            if campaign.status == CampaignStatus.PAUSED:
                break
        assert (campaign.status, campaign.pause_reason) == ("paused", PauseReason.FAILURES)
        found = states(campaign)
        assert "sending" not in found
        assert 100 <= 2_000 - found["queued"] - tried <= 250
        tried = 2_000 - found["queued"]
        resume_campaign(campaign)


def test_without_a_limit_all_may_fail(campaigns: Campaigns) -> None:
    campaigns.add_contacts(150)
    refuse(campaigns)
    campaign = campaigns.create(pacing={"failure_limit": None})
    campaigns.finish(campaign)
    assert states(campaign) == {"failed": 150}


def test_limits_are_said_in_plain_words() -> None:
    assert say_limits(Campaign(rate_per_second=5, rate_per_hour=1000)) == (
        "at most 5 a second and 1,000 an hour"
    )
    assert say_limits(Campaign()) == ""


def test_the_rate_can_be_changed_while_it_goes(campaigns: Campaigns) -> None:
    campaigns.add_contacts(30)
    api = campaigns.people.member.api
    campaign = campaigns.create(pacing={"rate_per_hour": 10})
    campaigns.work()
    campaigns.work()
    assert states(campaign) == {"sent": 10, "queued": 20}
    address = f"/api/campaigns/{campaign.campaign_id}"
    assert api.patch(address, {"subject": "Another"}).status_code == 409
    changed = api.patch(address, {"rate_limit": {"per_hour": 1000}}).json()
    assert changed["rate_limit"] == {"per_second": None, "per_hour": 1000, "per_day": None}
    campaigns.finish(campaign)
    assert len(campaigns.received()) == 30

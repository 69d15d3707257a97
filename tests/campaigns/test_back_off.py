"""A server that cannot be reached: how often it is tried, and that nobody else waits for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from campaigns.engine.pace import Pace
from campaigns.engine.shifts import take_shift, top_up_shifts
from campaigns.engine.work import work_shift
from campaigns.models import Campaign, SendShift
from campaigns.tasks import revive_campaigns
from mailhub.mail.transports.in_memory import Disturbance, InMemoryServer, InMemoryTransport, Step
from tests.campaigns.conftest import Campaigns, states


def hold_up(campaigns: Campaigns, settings: Settings, count: int = 900) -> Campaign:
    """A campaign of more than one shift whose server was tried once."""
    settings.MAILHUB_WORKERS = 4
    campaigns.add_contacts(count)
    campaign = campaigns.create()
    campaigns.server.script.answer(Step.CONNECT, Disturbance.DROP)
    campaigns.work()
    campaign.refresh_from_db()
    assert campaign.retry_at is not None
    return campaign


def test_no_worker_is_asked_before_the_server_has_answered(
    campaigns: Campaigns, settings: Settings
) -> None:
    campaign = hold_up(campaigns, settings)
    assert not SendShift.objects.exists()
    assert campaigns.server.connections <= settings.MAILHUB_CAMPAIGN_CONNECTIONS
    assert states(campaign) == {"queued": 900}


def test_whoever_comes_before_the_next_try_leaves_the_server_alone(
    campaigns: Campaigns, settings: Settings
) -> None:
    campaign = hold_up(campaigns, settings)
    Campaign.objects.update(retry_at=timezone.now() + timedelta(hours=1))
    tried = campaigns.server.connections
    for _ in range(3):
        SendShift.objects.create(campaign=campaign, asked_at=timezone.now())
        SendShift.objects.create(campaign=campaign, asked_at=timezone.now())
        campaigns.work()
        revive_campaigns()
    assert campaigns.server.connections == tried
    assert not SendShift.objects.exists()


def test_one_worker_over_one_connection_makes_the_next_try(
    campaigns: Campaigns, settings: Settings
) -> None:
    campaign = hold_up(campaigns, settings)
    tried = campaigns.server.connections
    Campaign.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    top_up_shifts(campaign)
    for _ in range(3):
        SendShift.objects.create(campaign=campaign, asked_at=timezone.now())
    shifts = [take_shift(pk) for pk in SendShift.objects.values_list("pk", flat=True)]
    assert len(shifts) == 4
    for shift in shifts:
        assert shift is not None
        work_shift(shift, campaigns.connect)
    assert campaigns.server.connections == tried + 1


def test_the_pauses_grow_up_to_a_minute(campaigns: Campaigns, settings: Settings) -> None:
    campaign = hold_up(campaigns, settings, 2)
    pauses = []
    for minutes in (0, 1, 5, 30):
        now = timezone.now()
        Campaign.objects.update(retry_at=now, trouble_since=now - timedelta(minutes=minutes))
        revive_campaigns()
        assert campaigns.work() == 1
        campaign.refresh_from_db()
        assert campaign.retry_at is not None
        pauses.append((campaign.retry_at - now).total_seconds())
    assert 5 <= pauses[0] < 30 <= pauses[1] < 60
    assert all(60 <= pause < 90 for pause in pauses[2:])


def test_it_goes_on_when_the_server_is_back(campaigns: Campaigns, settings: Settings) -> None:
    campaign = hold_up(campaigns, settings)
    campaigns.server.script.clear()
    Campaign.objects.update(retry_at=timezone.now())
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 900}
    assert (campaign.retry_at, campaign.trouble_since, campaign.last_error) == (None, None, "")


def test_a_campaign_by_another_server_goes_on(campaigns: Campaigns, settings: Settings) -> None:
    dead = hold_up(campaigns, settings, 300)
    Campaign.objects.update(retry_at=timezone.now() + timedelta(hours=1))
    healthy = InMemoryServer()
    other = campaigns.create(name="Other")
    other = campaigns.finish(other, lambda _: lambda: InMemoryTransport(healthy))
    assert other.status == "completed"
    assert len(healthy.messages) == 300
    assert states(dead) == {"queued": 300}


@pytest.mark.parametrize("carried", [0.0, 10.0])
def test_the_shown_rate_is_level_where_the_server_answers_in_bursts(carried: float) -> None:
    pace = Pace(carried=carried, began=100.0)
    shown = []
    for second in range(1, 40):
        if second % 2 == 0:
            pace.add(100.0 + second, 20)
        shown.append(pace.rate(100.0 + second))
    assert all(8 <= rate <= 12 for rate in shown[10:])
    if carried:
        assert all(8 <= rate <= 12 for rate in shown)
    assert max(shown) <= 14
    assert pace.rate(200.0) == 0.0

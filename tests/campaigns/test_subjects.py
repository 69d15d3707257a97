"""Two subjects tried on a part of the recipients, and the better one sent to the rest."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from email import message_from_bytes
from typing import Any

from django.utils import timezone

from campaigns.models import Campaign, CampaignStatus, Delivery, SubjectTest
from campaigns.tasks import revive_campaigns
from tests.campaigns.conftest import Campaigns, states
from tests.pages.conftest import log_in

TEST = {"subject_b": "Spring, {{ first_name }}!", "percent": 20, "wait_minutes": 60}


def start(campaigns: Campaigns, **fields: Any) -> Campaign:
    api = campaigns.people.member.api
    values = {
        "subject": "Hello {{ first_name }}",
        "body": "<p>Dear {{ first_name }}</p>",
        "from_email": "shop@example.org",
        "smtp_server": "127.0.0.1",
        "smtp_port": 2525,
        "smtp_encryption": "none",
        "audience": {"everyone": True},
        "tracking": {"opens": True},
        "subject_test": TEST,
        **fields,
    }
    made = api.post("/api/campaigns", values).json()
    answer = api.post(f"/api/campaigns/{made['campaign_id']}/start")
    assert answer.status_code == 200, answer.json()
    return Campaign.objects.get()


def work_all(campaigns: Campaigns) -> None:
    revive_campaigns()
    while campaigns.work():
        revive_campaigns()


def subjects(campaigns: Campaigns) -> Counter[str]:
    """How many got which subject, by its first word."""
    return Counter(
        str(message_from_bytes(message.content)["Subject"]).split()[0]
        for message in campaigns.server.messages
    )


def let_open(campaign: Campaign, side: int, count: int) -> None:
    rows = Delivery.objects.filter(campaign=campaign, state="sent")
    keys = [pk for pk in rows.values_list("pk", flat=True) if pk % 2 == side][:count]
    assert len(keys) == count
    rows.filter(pk__in=keys).update(opened_at=timezone.now())


def test_the_better_one_goes_to_the_rest(campaigns: Campaigns) -> None:
    campaigns.add_contacts(100)
    campaign = start(campaigns)
    work_all(campaigns)
    assert states(campaign) == {"sent": 20, "queued": 80}
    assert subjects(campaigns) == {"Hello": 10, "Spring,": 10}
    revive_campaigns()
    assert not campaigns.work()
    test = SubjectTest.objects.get()
    assert test.decides_at is not None
    assert timedelta(minutes=58) < test.decides_at - timezone.now() <= timedelta(minutes=60)
    let_open(campaign, 0, 2)
    let_open(campaign, 1, 5)
    address = f"/api/campaigns/{campaign.campaign_id}"
    shown = campaigns.people.member.api.get(address).json()["subject_test"]
    assert (shown["a"], shown["b"]) == (
        {"sent": 10, "responded": 2},
        {"sent": 10, "responded": 5},
    )
    SubjectTest.objects.update(decides_at=timezone.now())
    campaigns.finish(campaign)
    test.refresh_from_db()
    assert test.winner == "b"
    assert subjects(campaigns) == {"Hello": 10, "Spring,": 90}
    assert set(campaigns.received().values()) == {1}


def test_where_both_did_as_well_the_first_goes_on(campaigns: Campaigns) -> None:
    campaigns.add_contacts(100)
    campaign = start(campaigns)
    work_all(campaigns)
    revive_campaigns()
    SubjectTest.objects.update(decides_at=timezone.now())
    campaigns.finish(campaign)
    assert subjects(campaigns) == {"Hello": 90, "Spring,": 10}
    let_open(campaign, 1, 3)
    page = log_in(campaigns.people.member).get(f"/campaigns/{campaign.campaign_id}")
    words = page.content.decode()
    assert "When it was decided: 0 of 10 opened" in words
    assert "Both did as well: then it is the first." in words


def test_too_few_to_try_both_on_are_not_kept_waiting(campaigns: Campaigns) -> None:
    # Two are both tried on, of which nobody is left, or not each of the subjects is tried.
    campaigns.add_contacts(2)
    campaign = start(campaigns, subject_test={**TEST, "percent": 2})
    campaigns.finish(campaign)
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.COMPLETED
    assert sum(subjects(campaigns).values()) == 2


def test_what_cannot_be_compared_is_not_started(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    made = api.post(
        "/api/campaigns",
        {
            "subject": "Hello",
            "body": "<p>Hi</p>",
            "from_email": "shop@example.org",
            "smtp_server": "127.0.0.1",
            "smtp_encryption": "none",
            "audience": {"everyone": True},
            "tracking": {"opens": True},
            "subject_test": {**TEST, "measure": "clicks"},
        },
    ).json()
    address = f"/api/campaigns/{made['campaign_id']}"
    refused = api.post(f"{address}/start")
    assert "clicks that are not counted" in refused.json()["message"]
    broken = api.patch(address, {"subject_test": {**TEST, "subject_b": "{{ x"}})
    assert broken.json()["error"] == "template_error"
    copied = api.post(f"{address}/duplicate").json()
    assert copied["subject_test"]["subject_b"] == TEST["subject_b"]
    assert api.patch(address, {"subject_test": None}).json()["subject_test"] is None
    assert api.post(f"{address}/start").json()["status"] == CampaignStatus.PENDING

"""The pages of campaigns: the list, the one that goes, pause, resume, cancel."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from campaigns.models import Campaign, CampaignStatus, DeliveryState, SenderShare
from tests.pages.conftest import Visit
from tests.pages.mailings import make_campaign, settle
from tests.people import People


def test_the_first_visit_teaches_the_next_step(people: People, visit: Visit) -> None:
    assert "No campaign yet" in visit(people.member).get("/campaigns").text


def test_the_list_shows_how_far_each_has_come(people: People, visit: Visit) -> None:
    make_campaign(people.member, name="<i>Spring</i>", sent=3, failed=1, queued=4)
    make_campaign(people.stranger, name="Foreign")
    page = visit(people.viewer).get("/campaigns").text
    assert "&lt;i&gt;Spring&lt;/i&gt;" in page
    assert 'aria-label="3 of 8 sent, 1 failed, 4 remaining"' in page
    assert 'class="bar-good" x="0.000%" width="37.500%"' in page
    assert 'class="bar-bad" x="37.500%" width="12.500%"' in page
    assert "3 of 8" in page
    assert "Foreign" not in page


def test_the_list_is_narrowed_by_status(people: People, visit: Visit) -> None:
    make_campaign(people.member, name="Running one")
    make_campaign(people.member, name="Paused one", status=CampaignStatus.PAUSED)
    page = visit(people.member).get("/campaigns", {"status": "paused"}).text
    assert "Paused one" in page
    assert "Running one" not in page
    assert "No campaign here" in visit(people.member).get("/campaigns?status=failed").text


def test_the_list_costs_the_same_for_one_and_for_many(people: People, visit: Visit) -> None:
    client = visit(people.member)
    make_campaign(people.member, sent=1)
    with CaptureQueriesContext(connection) as one:
        client.get("/campaigns")
    for _ in range(25):
        make_campaign(people.member, sent=1)
    with CaptureQueriesContext(connection) as many:
        client.get("/campaigns")
    assert len(many) == len(one)


def test_older_campaigns_are_on_the_next_page(people: People, visit: Visit) -> None:
    for number in range(21):
        make_campaign(people.member, name=f"Letter {number}")
    client = visit(people.member)
    first = client.get("/campaigns")
    assert "Letter 0<" not in first.text
    second = client.get(f"/campaigns?{first.context['older']}")
    assert [campaign.name for campaign, _ in second.context["rows"]] == ["Letter 0"]


def test_a_campaign_shows_its_numbers_and_the_servers_words(people: People, visit: Visit) -> None:
    campaign = make_campaign(people.member, sent=1200, failed=2, uncertain=1, queued=3)
    page = visit(people.viewer).get(f"/campaigns/{campaign.campaign_id}").text
    assert '<dd id="sent">1,200</dd>' in page
    assert '<dd id="remaining">3</dd>' in page
    assert "550 5.1.1 &lt;b&gt;No such user&lt;/b&gt; here" in page
    assert "failed0@example.com" in page
    assert 'hx-trigger="every 2s"' in page
    assert '<noscript><meta http-equiv="refresh"' in page


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (CampaignStatus.COMPLETED, "The server accepted the message for 4 of 6 recipients in"),
        (CampaignStatus.CANCELLED, "1 got nothing."),
        (CampaignStatus.FAILED, "1 failed."),
    ],
)
def test_it_ends_as_a_report(
    people: People, visit: Visit, status: CampaignStatus, words: str
) -> None:
    now = timezone.now()
    campaign = make_campaign(
        people.member,
        sent=4,
        failed=1,
        queued=1,
        status=status,
        started_at=now - timedelta(seconds=90),
        completed_at=now,
        last_error="535 5.7.8 Wrong password" if status == CampaignStatus.FAILED else "",
    )
    page = visit(people.member).get(f"/campaigns/{campaign.campaign_id}").text
    assert words in page
    assert "2 minutes" in page
    assert "hx-get" not in page
    assert "http-equiv" not in page
    assert ("535 5.7.8 Wrong password" in page) == (status == CampaignStatus.FAILED)
    for action in ("Pause", "Resume", "Cancel"):
        assert f">{action}<" not in page


def test_the_moving_part_brings_failures_only_when_there_are_new_ones(
    people: People, visit: Visit
) -> None:
    campaign = make_campaign(people.member, failed=1, queued=9)
    client = visit(people.viewer)
    address = f"/campaigns/{campaign.campaign_id}/measures"
    same = client.get(address, {"status": "in_progress", "failed": "1"})
    assert 'id="measures"' in same.text
    assert 'id="failures"' not in same.text
    settle(campaign, DeliveryState.FAILED, 1)
    newer = client.get(address, {"status": "in_progress", "failed": "1"})
    assert "Mailbox is gone" in newer.text
    assert 'hx-swap-oob="true"' in newer.text
    Campaign.objects.update(status=CampaignStatus.PAUSED)
    other = client.get(address, {"status": "in_progress", "failed": "2"})
    assert other["HX-Retarget"] == "#campaign"
    assert "Paused" in other.text


def test_the_moving_part_brings_what_is_said_of_trouble_only_when_it_is_new(
    people: People, visit: Visit
) -> None:
    campaign = make_campaign(people.member, sent=1, queued=9)
    share = SenderShare.objects.create(
        campaign=campaign, account=people.connect_account(people.member)
    )
    client = visit(people.viewer)

    def moving(page: str) -> str:
        """What the page asks for next."""
        address = re.search(r'hx-get="([^"]*)"', page)
        assert address is not None
        return client.get(unescape(address[1])).text

    page = client.get(f"/campaigns/{campaign.campaign_id}").text
    calm = moving(page)
    assert 'id="about"' not in calm
    SenderShare.objects.filter(pk=share.pk).update(trouble="535 5.7.8 Wrong password")
    told = moving(calm)
    assert 'hx-swap-oob="true"' in told
    assert "535 5.7.8 Wrong password" in told
    assert 'id="about"' not in moving(told)
    Campaign.objects.update(last_error="451 4.3.0 Later")
    assert "451 4.3.0 Later" in moving(told)


def test_pause_resume_and_cancel(people: People, visit: Visit) -> None:
    campaign = make_campaign(people.member, sent=1, queued=2)
    client = visit(people.member)
    path = f"/campaigns/{campaign.campaign_id}"
    assert ">Resume<" in client.post(f"{path}/pause", follow=True).text
    assert ">Pause<" in client.post(f"{path}/resume", follow=True).text
    question = client.get(f"{path}/cancel").text
    assert "<strong>2 recipients</strong> of 3 will get no message" in question
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.IN_PROGRESS
    assert "Cancelled" in client.post(f"{path}/cancel", follow=True).text


def test_one_that_is_scheduled_can_be_held_back(people: People, visit: Visit) -> None:
    campaign = make_campaign(
        people.member,
        status=CampaignStatus.SCHEDULED,
        started_at=None,
        scheduled_at=timezone.now() + timedelta(hours=2),
        total_contacts=7,
    )
    client = visit(people.member)
    path = f"/campaigns/{campaign.campaign_id}"
    page = client.get(path).text
    assert "in 2 hours" in page
    assert '<dd id="remaining">7</dd>' in page
    assert ">Resume<" in client.post(f"{path}/pause", follow=True).text
    assert "Scheduled" in client.post(f"{path}/resume", follow=True).text


def test_a_time_is_shown_on_the_clocks_of_its_zone(people: People, visit: Visit) -> None:
    campaign = make_campaign(
        people.member,
        status=CampaignStatus.SCHEDULED,
        started_at=None,
        scheduled_at=datetime(2097, 6, 1, 13, 0, tzinfo=UTC),
        timezone="America/New_York",
    )
    page = visit(people.member).get(f"/campaigns/{campaign.campaign_id}").text
    assert "1 Jun 2097, 09:00 America/New_York" in page
    assert "unknown" not in page


def test_several_senders_are_named_with_what_keeps_one_of_them(
    people: People, visit: Visit
) -> None:
    campaign = make_campaign(people.member, queued=2)
    for name, trouble in (("one", "535 5.7.8 Wrong password"), ("two", "")):
        account = people.connect_account(people.member, email_address=f"{name}@acme.example")
        SenderShare.objects.create(
            campaign=campaign, account=account, weight=3, rate_per_hour=40, trouble=trouble
        )
    page = visit(people.member).get(f"/campaigns/{campaign.campaign_id}").text
    for name in ("one", "two"):
        assert f'{name}@acme.example<div class="muted">weight 3, at most 40 an hour' in page
    assert page.count("Left out:") == 1
    assert "535 5.7.8 Wrong password" in page
    assert "the default sender" not in page


def test_one_whose_limit_is_used_up_says_when_it_goes_on(people: People, visit: Visit) -> None:
    until = (timezone.now() + timedelta(minutes=57, seconds=30)).astimezone(UTC)
    campaign = make_campaign(people.member, queued=2, rate_per_hour=5, paced_until=until)
    address = f"/campaigns/{campaign.campaign_id}"
    for page in (visit(people.member).get(f"{address}{part}").text for part in ("", "/measures")):
        assert "Its limit of 5 an hour is used up." in page
        assert f"It goes on at {until.day} {until:%b %H:%M} UTC" in page
        assert "unknown" not in page
        assert "until in" not in page
    status = people.member.api.get(f"/api/campaign-status/{campaign.campaign_id}").json()
    assert status["status"] == "in_progress"
    assert parse_datetime(status["resumes_at"]) == until
    Campaign.objects.update(paced_until=timezone.now() - timedelta(seconds=1))
    over = people.member.api.get(f"/api/campaign-status/{campaign.campaign_id}").json()
    assert over["resumes_at"] is None


def test_one_without_recipients_is_no_division_by_zero(people: People, visit: Visit) -> None:
    now = timezone.now()
    campaign = make_campaign(people.member, status=CampaignStatus.COMPLETED, completed_at=now)
    page = visit(people.member).get(f"/campaigns/{campaign.campaign_id}").text
    assert "0 of 0 recipients" in page


def test_what_came_too_late_is_said_in_words(people: People, visit: Visit) -> None:
    campaign = make_campaign(people.member, status=CampaignStatus.COMPLETED)
    client = visit(people.member)
    path = f"/campaigns/{campaign.campaign_id}"
    for action in ("pause", "resume", "cancel"):
        page = client.post(f"{path}/{action}", follow=True).text
        assert "This campaign is completed." in page
    assert client.get(f"{path}/cancel")["Location"] == path


def test_who_may_do_what(people: People, visit: Visit) -> None:
    campaign = make_campaign(people.member, queued=2)
    path = f"/campaigns/{campaign.campaign_id}"
    viewer, stranger = visit(people.viewer), visit(people.stranger)
    seen = viewer.get(path)
    assert seen.status_code == 200
    assert ">Pause<" not in seen.text
    for action in ("pause", "resume", "cancel"):
        assert viewer.post(f"{path}/{action}").status_code == 403
        assert stranger.post(f"{path}/{action}").status_code == 404
    assert viewer.get(f"{path}/cancel").status_code == 403
    for page in (path, f"{path}/measures", f"{path}/cancel", "/campaigns/campaign_none"):
        assert stranger.get(page).status_code == 404
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.IN_PROGRESS

"""Leaving a campaign's mail, and its report, as people see them."""

from __future__ import annotations

import math
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from campaigns.feedback.recording import Report, record_events
from campaigns.links.tokens import Purpose, write_token
from campaigns.models import (
    Campaign,
    CampaignLink,
    CampaignStatus,
    EventKind,
    EventSource,
    SenderShare,
    SendingPulse,
)
from contacts.models import Contact, ContactStatus
from mailhub.mail.bounce import Verdict
from tests.browser.conftest import Desk
from tests.pages.mailings import make_campaign
from tests.people import People


def test_a_person_leaves_with_one_click(desk: Desk, people: People) -> None:
    ann = Contact.objects.create(tenant=people.tenant, email="ann@example.com")
    campaign = make_campaign(people.member, sent=1)
    campaign.deliveries.update(contact=ann, email=ann.email)
    token = write_token(Purpose.LEAVE, campaign.deliveries.get().pk, ann.pk)
    page = desk.open(f"/u/{token}")
    expect(page.get_by_text("ann@example.com")).to_be_visible()
    desk.look("unsubscribe")
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    desk.look("unsubscribed")
    assert Contact.objects.get().status == ContactStatus.UNSUBSCRIBED
    assert not page.context.cookies()
    page.get_by_role("link", name="Choose what you get").click()
    expect(page.get_by_role("heading", name="Your mail from Acme")).to_be_visible()


def test_a_link_of_a_test_message_says_so(desk: Desk, people: People) -> None:
    desk.open(f"/u/{write_token(Purpose.LEAVE, 0)}")
    expect(desk.page.get_by_text("came with a test message")).to_be_visible()
    desk.look("unsubscribe-nothing")


def test_the_report_from_its_numbers_to_one_recipient(members_desk: Desk, people: People) -> None:
    campaign = _reported(people)
    _share_between(people, campaign)
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    expect(page.get_by_role("heading", name="What came back")).to_be_visible()
    members_desk.look("campaign-report")
    page.get_by_role("link", name="Bounced", exact=True).click()
    expect(page.get_by_text("sent4@example.com")).to_be_visible()
    expect(page.get_by_text("sent0@example.com")).to_be_hidden()
    page.get_by_role("link", name="Failed").click()
    expect(page.get_by_role("link", name="Try the failed again")).to_be_visible()
    members_desk.look("campaign-recipients-failed")
    page.get_by_role("link", name="All").click()
    members_desk.look("campaign-recipients")
    page.get_by_label("Address begins with").fill("sent1@")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download these").click()
    assert "sent1@example.com" in download.value.path().read_text()
    page.get_by_role("link", name="Domains and hours").click()
    expect(page.get_by_role("rowheader", name="example.com")).to_be_visible()
    expect(page.get_by_role("heading", name="By sender")).to_be_visible()
    members_desk.look("campaign-breakdown")


def _share_between(people: People, campaign: Campaign) -> None:
    """Two accounts sent it, one of them to every third recipient."""
    one, two = (
        people.connect_account(people.member, email_address=f"{name}@acme.example")
        for name in ("news", "letters")
    )
    SenderShare.objects.create(campaign=campaign, account=one, weight=2)
    SenderShare.objects.create(campaign=campaign, account=two)
    for number, key in enumerate(campaign.deliveries.values_list("pk", flat=True)):
        campaign.deliveries.filter(pk=key).update(account=two if number % 3 == 0 else one)


def _reported(people: People) -> Campaign:
    started = timezone.now() - timedelta(hours=20)
    campaign = make_campaign(
        people.member,
        sent=40,
        failed=3,
        skipped=2,
        status=CampaignStatus.COMPLETED,
        started_at=started,
        completed_at=started + timedelta(minutes=9),
        tracks_opens=True,
        tracks_clicks=True,
    )
    rows = list(campaign.deliveries.filter(state="sent").order_by("pk"))
    reports = [
        Report(rows[4].pk, EventKind.BOUNCE, started, EventSource.REPORT, "1", Verdict.HARD),
        Report(rows[5].pk, EventKind.COMPLAINT, started, EventSource.REPORT, "1"),
        Report(rows[6].pk, EventKind.UNSUBSCRIBE, started, EventSource.PAGE, "unsubscribe"),
        Report(rows[7].pk, EventKind.OPEN, started, EventSource.PAGE, "a", is_automatic=True),
    ]
    for number, row in enumerate(rows[8:28]):
        at = started + timedelta(minutes=2 * number**2)
        reports.append(Report(row.pk, EventKind.OPEN, at, EventSource.PAGE, "open 1"))
        if number % 3 == 0:
            reports.append(Report(row.pk, EventKind.CLICK, at, EventSource.PAGE, "click 1 1"))
    record_events(reports)
    slot = int(started.timestamp()) // 10
    SendingPulse.objects.bulk_create(
        SendingPulse(
            campaign=campaign,
            slot=slot + number,
            sent=int(6000 + 2000 * math.sin(number / 5)),
            failed=300 if number % 9 == 0 else 0,
        )
        for number in range(54)
    )
    CampaignLink.objects.bulk_create(
        CampaignLink(campaign=campaign, number=number, target=target, clicked=5, clicks=7)
        for number, target in enumerate(
            ("https://shop.example/sale", f"https://shop.example/{'long' * 60}"), 1
        )
    )
    return campaign

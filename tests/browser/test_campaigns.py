"""A campaign as a person watches it go."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, expect

from campaigns.models import Campaign, CampaignStatus, DeliveryState, ResponseTally, SenderShare
from tests.browser.conftest import Desk, allow_to_log_in
from tests.pages.mailings import make_campaign, settle
from tests.people import People


def expect_width(page: Page, part: str, width: str) -> None:
    """A part of the large bar gets this width ("40.000%"); htmx sets it a moment after a swap."""
    expect(page.locator(f"#part-{part}")).to_have_attribute("width", width)


def test_the_bar_moves_and_the_page_ends_as_a_report(members_desk: Desk, people: People) -> None:
    campaign = make_campaign(people.member, sent=40, failed=3, skipped=2, queued=155)
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    expect_width(page, "good", "20.000%")
    expect(page.locator("#announcement")).to_have_text("Sending, 20 percent done")
    members_desk.look("campaign-running")
    settle(campaign, DeliveryState.SENT, 60)
    settle(campaign, DeliveryState.FAILED, 1)
    expect(page.locator("#sent")).to_have_text("100")
    expect(page.get_by_text("550 5.1.1 Mailbox is gone")).to_be_visible()
    expect_width(page, "good", "50.000%")
    expect(page.locator("#announcement")).to_have_text("Sending, 50 percent done")
    settle(campaign, DeliveryState.SENT, 94)
    Campaign.objects.update(status=CampaignStatus.COMPLETED, completed_at=timezone.now())
    expect(page.locator(".report")).to_contain_text("accepted the message for 194 of 200")
    expect(page.locator("#announcement")).to_contain_text("194 of 200 recipients")
    assert page.locator("[hx-get]").count() == 0
    members_desk.look("campaign-completed")


def test_pause_resume_and_cancel(members_desk: Desk, people: People) -> None:
    campaign = make_campaign(people.member, sent=1, queued=1_234)
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    members_desk.look("campaign-paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("link", name="Cancel", exact=True).click()
    expect(page.get_by_text("1,234 recipients")).to_be_visible()
    members_desk.look("campaign-cancel")
    page.get_by_role("button", name="Cancel the campaign").click()
    expect(page.locator(".report")).to_contain_text("1,234 got nothing.")
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.CANCELLED


def test_trouble_of_one_of_several_senders_is_seen_as_it_comes_and_goes(
    members_desk: Desk, people: People
) -> None:
    campaign = make_campaign(people.member, sent=120, queued=1_080, from_email="")
    shares = [
        SenderShare.objects.create(
            campaign=campaign,
            account=people.connect_account(people.member, email_address=f"{name}@acme.example"),
            weight=weight,
            rate_per_hour=2_000,
        )
        for name, weight in (("newsletter", 3), ("offers-for-customers", 1))
    ]
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    trouble = "535 5.7.8 Username and password not accepted for offers-for-customers@acme.example"
    SenderShare.objects.filter(pk=shares[1].pk).update(trouble=trouble)
    expect(page.locator("#about").get_by_text(trouble)).to_be_visible()
    members_desk.look("campaign-several-senders")
    SenderShare.objects.update(trouble="")
    expect(page.locator("#about").get_by_text(trouble)).to_have_count(0)
    Campaign.objects.update(last_error="451 4.3.0 Temporary trouble")
    expect(page.get_by_text("451 4.3.0 Temporary trouble")).to_be_visible()


def test_a_used_up_limit_is_seen_when_it_comes(members_desk: Desk, people: People) -> None:
    campaign = make_campaign(people.member, sent=500, queued=1_500, rate_per_hour=500)
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    Campaign.objects.update(paced_until=timezone.now() + timedelta(minutes=42))
    expect(page.locator("#about").get_by_text("used up, it goes on")).to_be_visible()
    expect(page.get_by_text("Its limit of 500 an hour is used up.")).to_be_visible()
    members_desk.look("campaign-used-up")


def test_a_pause_by_another_person_is_seen(members_desk: Desk, people: People) -> None:
    campaign = make_campaign(people.member, sent=1, queued=9)
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    Campaign.objects.update(status=CampaignStatus.PAUSED, last_error="421 4.7.0 Try again later")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_text("421 4.7.0 Try again later")).to_be_visible()
    members_desk.look("campaign-trouble")


def test_what_a_person_reads_stays_while_numbers_move(members_desk: Desk, people: People) -> None:
    campaign = make_campaign(people.member, failed=2, queued=50)
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    page.evaluate("document.querySelector('#failures table').id = 'the-same'")
    page.get_by_role("button", name="Pause").focus()
    settle(campaign, DeliveryState.SENT, 25)
    expect(page.locator("#sent")).to_have_text("25")
    assert page.locator("#the-same").count() == 1
    assert page.evaluate("document.activeElement.id") == "pause"


def test_without_scripts_the_page_refreshes_itself(
    members_desk: Desk, people: People, live_server: object
) -> None:
    campaign = make_campaign(people.member, sent=1, queued=9)
    members_desk.open(f"/campaigns/{campaign.campaign_id}")
    cookies = members_desk.page.context.cookies()
    browser = members_desk.page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(cookies)  # type: ignore[arg-type]  # as they were handed out
    page = context.new_page()
    page.goto(f"{members_desk.url}/campaigns/{campaign.campaign_id}")
    settle(campaign, DeliveryState.SENT, 9)
    expect(page.locator("#sent")).to_have_text("10")
    context.close()


def test_the_session_ends_while_the_page_is_open(members_desk: Desk, people: People) -> None:
    campaign = make_campaign(people.member, queued=9)
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    page.context.clear_cookies()
    page.wait_for_url(f"{members_desk.url}/login?next=/campaigns/{campaign.campaign_id}")
    members_desk.forgive("401")


def test_a_server_that_does_not_answer_is_no_secret(members_desk: Desk, people: People) -> None:
    campaign = make_campaign(people.member, sent=1, queued=9)
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    note = page.get_by_text("The server does not answer.")
    expect(note).to_be_hidden()
    page.context.set_offline(True)
    expect(note).to_be_visible()
    members_desk.look("campaign-offline")
    page.context.set_offline(False)
    settle(campaign, DeliveryState.SENT, 9)
    expect(page.locator("#sent")).to_have_text("10")
    expect(note).to_be_hidden()
    members_desk.forgive_all("ERR_INTERNET_DISCONNECTED", "htmx:")


def test_the_list(members_desk: Desk, people: People) -> None:
    members_desk.open("/campaigns")
    members_desk.look("campaigns-empty")
    now = timezone.now()
    for status in CampaignStatus:
        over = status in (CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED)
        began = status not in (
            CampaignStatus.DRAFT,
            CampaignStatus.SCHEDULED,
            CampaignStatus.PENDING,
        )
        make_campaign(
            people.member,
            name=f"The {status.label.lower()} letter, with a title that is rather long",
            status=status,
            sent=40,
            failed=5,
            skipped=3,
            queued=0 if over else 20,
            started_at=now - timedelta(hours=2) if began else None,
            completed_at=now - timedelta(minutes=5) if over else None,
            scheduled_at=now + timedelta(days=2) if status == CampaignStatus.SCHEDULED else None,
            tracks_opens=over,
            tracks_clicks=over,
        )
    completed = Campaign.objects.get(status=CampaignStatus.COMPLETED)
    ResponseTally.objects.create(campaign=completed, opened=21, clicked=8, bounced=2)
    page = members_desk.open("/campaigns")
    members_desk.look("campaigns")
    page.get_by_role("link", name="Paused", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_viewer_may_look_and_not_touch(desk: Desk, people: People) -> None:
    campaign = make_campaign(people.member, queued=9)
    allow_to_log_in(people.viewer)
    desk.open(f"/campaigns/{campaign.campaign_id}")
    page = desk.log_in(people.viewer)
    expect(page.get_by_role("heading", name="Spring letter")).to_be_visible()
    assert page.get_by_role("button", name="Pause").count() == 0
    desk.open(f"/campaigns/{campaign.campaign_id}/cancel")
    desk.forgive("403")
    expect(page.get_by_text("Your role in Acme is viewer")).to_be_visible()
    desk.look("forbidden")


def test_the_uncertain_are_decided_about(members_desk: Desk, people: People) -> None:
    campaign = make_campaign(
        people.member,
        sent=40,
        failed=2,
        uncertain=3,
        status=CampaignStatus.COMPLETED,
        completed_at=timezone.now(),
    )
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    expect(page.get_by_role("heading", name="3 recipients are uncertain")).to_be_visible()
    members_desk.look("campaign-uncertain")
    page.get_by_role("link", name="Send again").click()
    expect(page.get_by_text("would get it a second time")).to_be_visible()
    members_desk.look("campaign-resend")
    page.get_by_role("link", name="Go back").click()
    page.get_by_role("link", name="Count as sent").click()
    page.get_by_role("button", name="Count as sent").click()
    expect(page.locator("#sent")).to_have_text("43")
    expect(page.get_by_role("heading", name="3 recipients are uncertain")).to_be_hidden()
    page.get_by_role("link", name="Try the failed again").click()
    members_desk.look("campaign-retry")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#remaining")).to_have_text("2")


def test_a_campaign_is_held_up_and_goes_on(members_desk: Desk, people: People) -> None:
    now = timezone.now()
    campaign = make_campaign(
        people.member,
        queued=9,
        last_error="The connection was refused.",
        trouble_since=now,
        retry_at=now + timedelta(seconds=50),
    )
    members_desk.open("/")
    members_desk.look("home-held-up")
    members_desk.open("/campaigns")
    members_desk.look("campaigns-held-up")
    page = members_desk.open(f"/campaigns/{campaign.campaign_id}")
    expect(page.get_by_text("Held up", exact=True)).to_be_visible()
    members_desk.look("campaign-held-up")
    Campaign.objects.update(last_error="", trouble_since=None, retry_at=None)
    expect(page.get_by_text("In progress", exact=True)).to_be_visible()

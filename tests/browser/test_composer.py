"""A campaign is written at a browser: seen as its readers will, counted, tried and sent."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect
from pytest_django.fixtures import Settings

from campaigns.models import Campaign, CampaignStatus, Template
from contacts.models import Contact, ContactList, ListMember, Suppression
from tests.browser.conftest import Desk
from tests.people import People
from tests.servers.processes import wait_until
from tests.servers.smtp import SmtpReceiver


def fill(people: People) -> None:
    news = ContactList.objects.create(tenant=people.tenant, name="Newsletter")
    ContactList.objects.create(tenant=people.tenant, name="Customers")
    for number in range(12):
        contact = Contact.objects.create(
            tenant=people.tenant,
            email=f"ann{number}@example.com",
            first_name=f"Ann{number}",
            attributes={"city": "Bern"},
        )
        ListMember.objects.create(list=news, contact=contact)
    Suppression.objects.create(tenant=people.tenant, email="ann3@example.com")


def test_a_campaign_is_written_seen_counted_and_sent(
    members_desk: Desk, people: People, start_smtp_receiver: Any, settings: Settings
) -> None:
    receiver: SmtpReceiver = start_smtp_receiver()
    settings.SMTP_SERVER, settings.SMTP_PORT = "127.0.0.1", receiver.port
    settings.SMTP_ENCRYPTION, settings.SMTP_USERNAME = "none", ""
    fill(people)
    page = members_desk.open("/campaigns")
    page.get_by_role("button", name="New campaign").click()
    frame = page.frame_locator("#preview")
    page.get_by_label("Newsletter").check()
    count = page.locator("#audience-count")
    expect(count).to_contain_text("11 recipients get this message now")
    expect(count).to_contain_text("1 left out: on the suppression list")
    page.get_by_label("From address").fill("Acme <news@acme.example>")
    page.get_by_label("Name of the campaign").fill("Spring letter")
    page.get_by_label("Subject", exact=True).fill("Spring is here")
    body = page.get_by_label("HTML", exact=True).first
    body.fill('<h1>Spring</h1><p>Dear friend, <a href="http://acme.example">look</a></p>')
    expect(frame.get_by_text("Dear friend")).to_be_visible()
    expect(page.locator("#checks")).to_contain_text("A link is not encrypted")
    page.get_by_text("What may stand in the text").click()
    body.press("End")
    page.get_by_role("button", name="{{ first_name }}").click()
    expect(frame.get_by_text("Ann11")).to_be_visible()
    members_desk.look("composer")
    page.get_by_label("Source").check()
    expect(frame.get_by_text("MIME-Version")).to_be_visible()
    page.get_by_label("On a phone").check()
    expect(frame.get_by_text("Dear friend")).to_be_visible()
    page.get_by_label("Send a test to").fill("me@example.org")
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("A test was sent to me@example.org.")).to_be_visible()
    assert len(receiver.messages) == 1
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("11 recipients")).to_be_visible()
    members_desk.look("composer-sure")
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_role("heading", name="Spring letter")).to_be_visible()
    wait_until(
        lambda: Campaign.objects.get().status == CampaignStatus.PENDING, "the campaign has begun"
    )


def test_a_template_is_written_and_seen(members_desk: Desk, people: People) -> None:
    fill(people)
    page = members_desk.open("/templates")
    members_desk.look("templates-empty")
    page.get_by_role("link", name="Make a template").click()
    page.get_by_label("Name").fill("Welcome")
    page.get_by_label("Subject").fill("Welcome, {{ first_name }}")
    page.get_by_label("HTML", exact=True).first.fill("<p>Dear {{ first_name }}</p>")
    frame = page.frame_locator("#preview")
    expect(frame.get_by_text("Dear Ann11")).to_be_visible()
    page.get_by_label("As this contact would get it").fill("ann2@example.com")
    expect(frame.get_by_text("Dear Ann2")).to_be_visible()
    members_desk.look("template")
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    assert Template.objects.get().name == "Welcome"
    members_desk.open("/templates")
    members_desk.look("templates")

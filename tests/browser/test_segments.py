"""A segment shows its count as it is edited."""

from __future__ import annotations

from playwright.sync_api import expect

from contacts.models import Contact, ContactList, Segment
from tests.browser.conftest import Desk
from tests.people import People


def test_a_segment_is_counted_as_it_is_edited(members_desk: Desk, people: People) -> None:
    for number in range(12):
        Contact.objects.create(
            tenant=people.tenant,
            email=f"ann{number}@example.com",
            first_name="Ann",
            attributes={"city": "Bern" if number % 3 else "Basel"},
        )
    ContactList.objects.create(tenant=people.tenant, name="News")
    page = members_desk.open("/contacts/segments")
    members_desk.look("segments-empty")
    page.get_by_role("link", name="Make a segment").click()
    page.get_by_label("Name", exact=True).fill("People in Bern")
    page.get_by_label("What, 1").select_option("attributes.city")
    page.get_by_label("Value, 1").fill("b")
    counted = page.locator("#count")
    expect(counted).to_contain_text("0 contacts")
    page.get_by_label("Value, 1").fill("Bern")
    expect(counted).to_contain_text("8 contacts")
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("What, 2").select_option(label="News")
    expect(counted).to_contain_text("0 contacts")
    page.get_by_label("Question, 2").select_option("is_not")
    expect(counted).to_contain_text("8 contacts")
    members_desk.look("segment")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("The segment People in Bern is kept.").wait_for()
    expect(page.locator("tbody")).to_contain_text("8")
    members_desk.look("segments")
    assert Segment.objects.get().rule["all"][0]["value"] == "Bern"
    page.get_by_role("link", name="Show the people of People in Bern").click()
    expect(page.locator("tbody tr")).to_have_count(8)
    members_desk.look("contacts-of-a-segment")

"""Lists and one contact, as a marketer and as the person on them sees them."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from campaigns.models import Delivery, DeliveryState
from contacts.confirming import confirmation_url
from contacts.models import Contact, ContactList, ListMember, MemberState, OptIn, Suppression
from contacts.preferences import preferences_url
from tests.browser.conftest import Desk
from tests.pages.mailings import make_campaign
from tests.people import People


def test_a_list_is_made_and_filled(members_desk: Desk, people: People) -> None:
    page = members_desk.open("/contacts/lists")
    members_desk.look("lists-empty")
    page.get_by_role("link", name="Make a list").click()
    page.get_by_label("Name", exact=True).fill("Newsletter")
    page.get_by_label("Description").fill("Once a month, what is new")
    members_desk.look("list-new")
    page.get_by_role("button", name="Make the list").click()
    page.get_by_label("Add addresses").fill("ann@example.com\nbob@example.com")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("2 addresses are new here").wait_for()
    members_desk.look("list")
    ContactList.objects.create(
        tenant=people.tenant, name="Offers", opt_in=OptIn.DOUBLE, trouble="No sender."
    )
    page.get_by_role("link", name="Contacts").click()
    page.get_by_role("link", name="Lists").click()
    page.get_by_text("Cannot ask").wait_for()
    members_desk.look("lists")
    page.get_by_role("link", name="Newsletter").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_text("2 members").wait_for()
    members_desk.look("list-delete")


def test_addresses_are_suppressed_and_let_go(members_desk: Desk, people: People) -> None:
    page = members_desk.open("/contacts/suppressions")
    page.get_by_label("Suppress an address").fill("ann@example.com")
    page.get_by_role("button", name="Suppress").click()
    page.get_by_role("rowheader", name="ann@example.com").wait_for()
    members_desk.look("suppressions")
    page.get_by_role("button", name="Lift: ann@example.com").click()
    page.get_by_text("Campaigns may write to ann@example.com again.").wait_for()
    assert not Suppression.objects.exists()


def test_one_contact_and_its_whole_history(members_desk: Desk, people: People) -> None:
    ann = Contact.objects.create(
        tenant=people.tenant,
        email="ann@example.com",
        first_name="Ann",
        last_name="Andersson",
        attributes={"city": "Bern", "shoe_size": "38"},
    )
    news = ContactList.objects.create(tenant=people.tenant, name="News")
    ListMember.objects.create(list=news, contact=ann)
    now = timezone.now()
    for number, state in enumerate((DeliveryState.SENT, DeliveryState.FAILED)):
        Delivery.objects.create(
            campaign=make_campaign(people.member, name=f"Spring {number}"),
            contact=ann,
            email=ann.email,
            state=state,
            reply="550 5.1.1 no such user here" if number else "250 2.0.0 Ok: queued",
            finished_at=now - timedelta(days=number),
        )
    page = members_desk.open("/contacts")
    page.get_by_role("link", name="ann@example.com").click()
    page.get_by_text("Spring 0: sent").wait_for()
    page.get_by_text("550 5.1.1 no such user here").wait_for()
    members_desk.look("contact")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Company").fill("Acme")
    members_desk.look("contact-edit")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("Acme").first.wait_for()
    page.get_by_role("link", name="Remove").click()
    members_desk.look("contact-remove")
    page.get_by_role("button", name="Erase all data").click()
    page.get_by_text("All data of the person is erased.").wait_for()
    assert not Contact.objects.exists()


def test_a_person_says_yes_and_chooses(desk: Desk, people: People) -> None:
    ann = Contact.objects.create(tenant=people.tenant, email="ann@example.com")
    news, offers = (
        ContactList.objects.create(tenant=people.tenant, name=name, description=f"{name} monthly")
        for name in ("News", "Offers")
    )
    asked = ListMember.objects.create(list=news, contact=ann, state=MemberState.PENDING)
    ListMember.objects.create(list=offers, contact=ann)
    path = confirmation_url(asked).removeprefix("http://localhost:8000")
    page = desk.open(path)
    desk.look("confirm")
    page.get_by_role("button", name="Yes, put me on the list").click()
    page.get_by_role("heading", name="You are on the list").wait_for()
    desk.look("confirmed")
    page = desk.open(preferences_path(ann))
    page.get_by_label("Offers").uncheck()
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("Your choice is kept.").wait_for()
    desk.look("preferences")
    assert ListMember.objects.get(list=offers).state == MemberState.UNSUBSCRIBED
    page.get_by_role("button", name="No more mail at all").click()
    page.get_by_role("button", name="Send me mail again").wait_for()
    desk.look("preferences-nothing")
    assert Suppression.objects.exists()
    page = desk.open("/preferences/broken")
    desk.look("link-broken")
    desk.forgive("404")


def preferences_path(person: Contact) -> str:
    return preferences_url(person).removeprefix("http://localhost:8000")

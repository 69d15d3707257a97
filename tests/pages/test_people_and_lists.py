"""Pages of lists, suppressed addresses, one contact, and a person's own preferences."""

from __future__ import annotations

import pytest
from django.test import Client

from contacts.models import (
    Contact,
    ContactList,
    ContactStatus,
    ErasedAddress,
    ListMember,
    MemberState,
    Segment,
    Suppression,
    SuppressionReason,
)
from contacts.preferences import preferences_url
from contacts.tokens import Purpose, write_token
from tests.pages.conftest import Visit
from tests.people import People

ANN = "ann@example.com"


@pytest.fixture
def ann(people: People) -> Contact:
    return Contact.objects.create(tenant=people.tenant, email=ANN, first_name="<b>Ann</b>")


@pytest.fixture
def news(people: People) -> ContactList:
    return ContactList.objects.create(tenant=people.tenant, name="News & more")


def path_of(person: Contact) -> str:
    return preferences_url(person).removeprefix("http://localhost:8000")


def test_a_list_is_made_changed_and_deleted(people: People, visit: Visit) -> None:
    client = visit(people.member)
    assert "No lists yet" in client.get("/contacts/lists").text
    form = {"name": "News", "description": "Monthly", "opt_in": "single"}
    made = client.post("/contacts/lists/new", form)
    contact_list = ContactList.objects.get()
    assert made["Location"] == f"/contacts/lists/{contact_list.pk}"
    address = made["Location"]
    client.post(f"{address}/change", {**form, "name": "Letters"})
    assert "Letters" in client.get("/contacts/lists").text
    assert "<strong>0 members</strong>" in client.get(f"{address}/delete").text
    client.post(f"{address}/delete")
    assert not ContactList.objects.exists()


def test_a_list_that_a_segment_asks_for_stays(
    people: People, visit: Visit, news: ContactList
) -> None:
    client = visit(people.member)
    rule = {"not": {"list": news.pk}}
    segment = Segment.objects.create(tenant=people.tenant, name="Strangers", rule=rule)
    asked = client.get(f"/contacts/lists/{news.pk}/delete").text
    assert "1 segment asks for this list" in asked
    assert f'href="/contacts/segments/{segment.pk}"' in asked
    refused = client.post(f"/contacts/lists/{news.pk}/delete")
    assert (refused.status_code, "Strangers" in refused.text) == (409, True)
    news.delete()
    assert "was deleted" in client.get(f"/contacts/segments/{segment.pk}/count").text


def test_a_list_that_asks_needs_a_sender(people: People, visit: Visit) -> None:
    account = people.connect_account(people.member)
    client = visit(people.member)
    form = {"name": "News", "opt_in": "double"}
    refused = client.post("/contacts/lists/new", form).text
    assert "needs a sender" in refused
    assert 'value="News"' in refused
    client.post("/contacts/lists/new", {**form, "account_id": str(account.pk)})
    assert ContactList.objects.get().account == account
    client.post("/contacts/lists/new", {**form, "name": "Same", "account_id": str(account.pk)})
    for name in ("Same", "SAME"):
        taken = client.post("/contacts/lists/new", {"name": name, "opt_in": "single"})
        assert "There is a list of this name already." in taken.text


def test_addresses_are_typed_onto_a_list(people: People, visit: Visit, news: ContactList) -> None:
    client = visit(people.member)
    address = f"/contacts/lists/{news.pk}"
    page = client.post(address, {"emails": "ann@example.com, BOB@example.com\n\n"}, follow=True)
    assert "2 addresses are new here; 0 were known here." in page.text
    refused = client.post(address, {"emails": "carla@example.com nobody"})
    assert refused.status_code == 400
    assert "nobody: This is not an email address." in refused.text
    assert "carla@example.com nobody" in refused.text
    assert Contact.objects.count() == 2
    assert "Subscribed 2" in page.text
    assert "Nobody here yet." in client.get(f"{address}?state=pending").text


def test_a_long_list_is_walked_within_its_state(
    people: People, visit: Visit, news: ContactList
) -> None:
    for number in range(60):
        contact = Contact.objects.create(tenant=people.tenant, email=f"c{number}@example.com")
        state = MemberState.SUBSCRIBED if number % 10 else MemberState.UNSUBSCRIBED
        ListMember.objects.create(list=news, contact=contact, state=state)
    client = visit(people.viewer)
    first = client.get(f"/contacts/lists/{news.pk}?state=subscribed")
    second = client.get(f"/contacts/lists/{news.pk}?{first.context['older']}")
    shown = [row.contact.email for page in (first, second) for row in page.context["rows"]]
    assert len(shown) == len(set(shown)) == 54
    assert "c0@example.com" not in shown


def test_suppressions_are_added_found_and_lifted(people: People, visit: Visit) -> None:
    client = visit(people.member)
    assert "No address is suppressed." in client.get("/contacts/suppressions").text
    client.post("/contacts/suppressions", {"email": "Ann@Example.com"})
    assert (
        "This is not an email address."
        in client.post("/contacts/suppressions", {"email": "nobody"}).text
    )
    assert ANN in client.get("/contacts/suppressions?q=AN").text
    assert "No suppressed address begins with" in client.get("/contacts/suppressions?q=b").text
    row = Suppression.objects.get()
    assert visit(people.stranger).post(f"/contacts/suppressions/{row.pk}/lift").status_code == 404
    client.post(f"/contacts/suppressions/{row.pk}/lift")
    assert not Suppression.objects.exists()


def test_one_contact_shows_who_it_is_and_what_happened(
    people: People, visit: Visit, ann: Contact, news: ContactList
) -> None:
    ListMember.objects.create(list=news, contact=ann)
    Suppression.objects.suppress(people.tenant, [ANN])
    page = visit(people.viewer).get(f"/contacts/{ann.pk}").text
    assert "&lt;b&gt;Ann&lt;/b&gt;" in page
    assert "Put on News &amp; more" in page
    assert "Became a contact" in page
    assert "No campaign writes to this address" in page
    assert visit(people.stranger).get(f"/contacts/{ann.pk}").status_code == 404
    assert visit(people.viewer).get(f"/contacts/{ann.pk}?before=never").status_code == 400


def test_a_contact_is_edited_and_its_history_left_alone(
    people: People, visit: Visit, ann: Contact
) -> None:
    client = visit(people.member)
    address = f"/contacts/{ann.pk}/edit"
    form = {"first_name": "Änn", "status": "subscribed", "attributes": '{"city": "Bern"}'}
    refused = client.post(address, {**form, "attributes": "[1]"})
    assert "Attributes are a JSON object." in refused.text
    for broken in ("{", "9" * 5000, "[" * 100_000):
        refused = client.post(address, {**form, "attributes": broken})
        assert (refused.status_code, "Enter a valid JSON" in refused.text) == (400, True)
    Contact.objects.filter(pk=ann.pk).update(email_count=7)
    assert client.post(address, form).status_code == 302
    ann.refresh_from_db()
    assert (ann.first_name, ann.attributes, ann.email_count) == ("Änn", {"city": "Bern"}, 7)
    assert Contact.objects.search("ann").filter(first_name="Änn").exists()


def test_a_contact_is_removed_or_erased(people: People, visit: Visit, ann: Contact) -> None:
    client = visit(people.member)
    assert "Erase all data" in client.get(f"/contacts/{ann.pk}/remove").text
    client.post(f"/contacts/{ann.pk}/remove", follow=True)
    assert not Contact.objects.exists()
    assert not ErasedAddress.objects.exists()
    again = Contact.objects.create(tenant=people.tenant, email=ANN)
    page = client.post(f"/contacts/{again.pk}/remove", {"erase": "1"}, follow=True).text
    assert "All data of the person is erased." in page
    assert ANN not in page
    assert ErasedAddress.objects.exists()


def test_a_person_chooses_its_lists(people: People, ann: Contact, news: ContactList) -> None:
    offers, asked = (
        ContactList.objects.create(tenant=people.tenant, name=name) for name in ("Offers", "Asked")
    )
    for each, state in ((news, "subscribed"), (offers, "unsubscribed"), (asked, "pending")):
        ListMember.objects.create(list=each, contact=ann, state=state)
    page, address = Client(enforce_csrf_checks=True), path_of(ann)
    shown = page.get(address).text
    assert "News &amp; more" in shown
    assert "Offers" in shown
    assert "Asked" not in shown
    foreign = ContactList.objects.create(tenant=people.tenant, name="Never joined")
    answer = page.post(address, {"list": [offers.pk, foreign.pk, asked.pk, "x", "9" * 5000]})
    assert "Your choice is kept." in answer.text
    assert dict(ann.memberships.values_list("list__name", "state")) == {
        "News & more": "unsubscribed",
        "Offers": "subscribed",
        "Asked": "pending",
    }
    assert not page.cookies


def test_a_person_refuses_all_mail_and_comes_back(people: People, ann: Contact) -> None:
    page, address = Client(), path_of(ann)
    for _ in range(2):
        assert "You will get no more mail." in page.post(address, {"nothing": "1"}).text
    ann.refresh_from_db()
    assert ann.status == ContactStatus.UNSUBSCRIBED
    assert Suppression.objects.get().reason == SuppressionReason.UNSUBSCRIBED
    assert "Send me mail again" in page.get(address).text
    assert not Contact.objects.mailable(people.tenant).exists()
    page.post(address)
    assert Contact.objects.mailable(people.tenant).get() == ann


def test_a_wish_does_not_undo_a_complaint(people: People, ann: Contact) -> None:
    Contact.objects.filter(pk=ann.pk).update(status=ContactStatus.COMPLAINED)
    Suppression.objects.suppress(people.tenant, [ANN], SuppressionReason.COMPLAINED)
    Client().post(path_of(ann))
    ann.refresh_from_db()
    assert ann.status == ContactStatus.COMPLAINED
    assert Suppression.objects.exists()


def test_looking_at_preferences_changes_nothing(people: People, ann: Contact) -> None:
    for method in ("get", "head"):
        answer = getattr(Client(), method)(f"{path_of(ann)}?nothing=1")
        assert answer.status_code == 200
        assert answer["Referrer-Policy"] == "no-referrer"
    assert not Suppression.objects.exists()


def test_foreign_and_broken_links_say_so(people: People, ann: Contact) -> None:
    broken = (f"{path_of(ann)}x", f"/preferences/{write_token(Purpose.CONFIRM, ann.pk)}")
    for address in broken:
        for method in ("get", "post"):
            assert getattr(Client(), method)(address, {"nothing": "1"}).status_code == 404
    gone = path_of(ann)
    ann.delete()
    assert Client().get(gone).status_code == 404
    assert not Suppression.objects.exists()

"""The admin's pages of contacts, as an operator uses them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from contacts.admin import ContactAdmin
from contacts.bulk_writing import ContactValues, insert_contacts
from contacts.joining import add_people
from contacts.models import (
    Contact,
    ContactList,
    ImportJob,
    ListMember,
    Segment,
    Suppression,
    SuppressionReason,
)
from tests.contacts.imports import import_at_once, upload
from tests.people import People


@pytest.fixture
def operator(people: People) -> Client:
    client = Client()
    client.force_login(
        User.objects.create_superuser("root"), "django.contrib.auth.backends.ModelBackend"
    )
    return client


def act(client: Client, model: str, action: str, *rows: Any, **form: Any) -> Any:
    """Run an action of a list on these rows."""
    data = {"action": action, "_selected_action": [row.pk for row in rows], **form}
    return client.post(f"/admin/contacts/{model}/", data)


def test_contacts_are_listed_without_counting_them_all(people: People, operator: Client) -> None:
    for number in range(3):
        Contact.objects.create(tenant=people.tenant, email=f"c{number}@example.com")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = operator.get("/admin/contacts/contact/")
    assert page.status_code == 200
    assert b"c2@example.com" in page.content
    counting = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert all("LIMIT 10000" in sql for sql in counting if '"contacts"' in sql)
    assert len(queries) < 12


def test_a_table_that_is_not_counted_to_its_end_says_so(people: People, operator: Client) -> None:
    rows = [ContactValues(f"c{number}@example.com") for number in range(10_001)]
    insert_contacts(people.tenant.pk, rows[:10_000])
    listed = operator.get("/admin/contacts/contact/").content.decode()
    assert "10,000 contacts" in listed
    assert "more than" not in listed
    insert_contacts(people.tenant.pk, rows[10_000:])
    listed = operator.get("/admin/contacts/contact/").content.decode()
    assert "more than 10,000 contacts" in listed
    assert "Select all contacts, more than 10,000" in listed
    assert "Select all 10000" not in listed
    found = operator.get("/admin/contacts/contact/?q=c10000@").content.decode()
    assert "1 contact\n" in found


def act_on_all(client: Client, model: str, action: str, query: str = "") -> Any:
    """Run an action on all rows of a list, as its page offers where one page does not hold them."""
    address = f"/admin/contacts/{model}/{query}"
    first = re.search(rb'name="_selected_action" value="([^"]*)"', client.get(address).content)
    assert first is not None
    chosen = {"select_across": "1", "_selected_action": [first[1].decode()]}
    return client.post(address, {"action": action, **chosen})


def answer(client: Client, address: str, page: Any) -> Any:
    """Send the form of a question as it stands."""
    fields = re.findall(rb'<input type="hidden" name="([^"]*)" value="([^"]*)"', page.content)
    assert len(fields) < 1000, "Django takes no more fields than that"
    return client.post(address, {name.decode(): value.decode() for name, value in fields})


def test_all_of_a_large_table_are_suppressed_and_deleted(people: People, operator: Client) -> None:
    rows = [ContactValues(f"c{number}@example.com") for number in range(2_500)]
    insert_contacts(people.tenant.pk, rows)
    insert_contacts(people.other_tenant.pk, [ContactValues("other@example.com")])
    news = ContactList.objects.create(tenant=people.tenant, name="News")
    add_people(news, Contact.objects.filter(tenant=people.tenant))
    Suppression.objects.suppress(people.tenant, ["c7@example.com"], SuppressionReason.BOUNCED)
    assert act_on_all(operator, "contact", "suppress", "?q=c").status_code == 302
    assert Suppression.objects.filter(tenant=people.tenant).count() == 2_500
    assert Suppression.objects.get(email="c7@example.com").reason == "bounced"
    for model, query, words in (
        ("suppression", "", "2,500 suppressions"),
        ("listmember", "", "2,500 list members"),
        ("contact", "?q=c", "2,500 contacts"),
    ):
        question = act_on_all(operator, model, "delete_selected", query)
        assert words in question.text
        assert len(question.content) < 40_000
        if model == "contact":
            Contact.objects.create(tenant=people.tenant, email="cnew@example.com")
        done = answer(operator, f"/admin/contacts/{model}/{query}", question)
        assert done.status_code == 302
        assert f"{words} deleted." in operator.get("/admin/").text
    assert not Suppression.objects.exists()
    assert not ListMember.objects.exists()
    # Who came after the question was not meant.
    left = set(Contact.objects.values_list("email", flat=True))
    assert left == {"other@example.com", "cnew@example.com"}


class Hurried(ContactAdmin):
    """Has time for one piece at a time."""

    seconds_of_deleting = 0


def test_what_is_too_much_for_one_answer_is_asked_for_again(people: People) -> None:
    insert_contacts(
        people.tenant.pk, [ContactValues(f"c{number}@example.com") for number in range(1_200)]
    )
    user = User.objects.create_superuser("root")
    form = {"action": "delete_selected", "select_across": "1", "_selected_action": "0"}
    left, words = [], ""
    for _ in range(4):
        request = RequestFactory().post("/admin/contacts/contact/", form)
        request.user = user
        request.session = SessionStore()
        middleware = {
            "_messages": FallbackStorage(request),
            "_dont_enforce_csrf_checks": True,
        }
        vars(request).update(middleware)
        page: Any = Hurried(Contact, admin.site).changelist_view(request)
        if page.status_code == 302:
            break
        page.render()
        left.append(Contact.objects.count())
        words = page.text
        fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', words)
        form = dict(fields)
    assert left == [1_200, 700, 200]
    assert "1,000 are deleted, and more are left." in words
    assert not Contact.objects.exists()


def test_contacts_are_found_by_beginnings(people: People, operator: Client) -> None:
    Contact.objects.create(tenant=people.tenant, email="ann@example.com", last_name="Özil")
    Contact.objects.create(tenant=people.other_tenant, email="bob@example.com")
    found = operator.get("/admin/contacts/contact/?q=ozi").content
    assert b"ann@example.com" in found
    assert b"bob@example.com" not in found
    narrowed = f"/admin/contacts/contact/?q=b&tenant__id__exact={people.tenant.pk}"
    assert b"bob@example.com" not in operator.get(narrowed).content


def test_an_operators_input_is_held_to_the_same_rules(people: People, operator: Client) -> None:
    form = {
        "tenant": people.tenant.pk,
        "email": "Ann@BÜCHER.example",
        "first_name": "Ann",
        "status": "subscribed",
        "attributes": "{}",
    }
    assert operator.post("/admin/contacts/contact/add/", form).status_code == 302
    ann = Contact.objects.get()
    assert (ann.email, ann.first_name_folded) == ("ann@xn--bcher-kva.example", "ann")
    twice = operator.post("/admin/contacts/contact/add/", form)
    assert b"already exists" in twice.content
    for broken in ({"email": "nobody"}, {"first_name": "a\u2028b"}, {"attributes": "[1]"}):
        refused = operator.post("/admin/contacts/contact/add/", {**form, **broken})
        assert refused.status_code == 200
        assert b"errorlist" in refused.content
    assert Contact.objects.count() == 1


def test_chosen_contacts_are_exported_and_suppressed(people: People, operator: Client) -> None:
    ann, _bob, carl = (
        Contact.objects.create(tenant=tenant, email=f"{name}@example.com")
        for name, tenant in (
            ("ann", people.tenant),
            ("bob", people.tenant),
            ("carl", people.other_tenant),
        )
    )
    response = act(operator, "contact", "export_as_csv", ann, carl)
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "email",
        "ann@example.com",
        "carl@example.com",
    ]
    assert act(operator, "contact", "suppress", ann, carl).status_code == 302
    suppressed = Suppression.objects.order_by("email").values_list("email", "tenant__slug")
    assert list(suppressed) == [("ann@example.com", "acme"), ("carl@example.com", "globex")]
    found = operator.get("/admin/contacts/suppression/?q=CARL").content
    assert b"carl@example.com" in found
    assert b"ann@example.com" not in found


def test_a_name_of_a_list_is_taken_once_however_it_is_written(
    people: People, operator: Client
) -> None:
    ContactList.objects.create(tenant=people.tenant, name="Grüße")
    address = "/admin/contacts/contactlist/add/"
    for tenant, name, status in (
        (people.tenant, "GRÜSSE", 200),
        (people.other_tenant, "GRÜSSE", 302),
        (people.tenant, "Grusse", 302),
    ):
        form = {"tenant": str(tenant.pk), "name": name, "opt_in": "single"}
        answer = operator.post(address, form)
        assert answer.status_code == status
        assert (b"There is a list of this name already." in answer.content) == (status == 200)


def test_a_list_that_a_segment_asks_for_is_not_deleted(people: People, operator: Client) -> None:
    news = ContactList.objects.create(tenant=people.tenant, name="News")
    rule = {"not": {"list": news.pk}}
    segment = Segment.objects.create(tenant=people.tenant, name="Strangers", rule=rule)
    address = f"/admin/contacts/contactlist/{news.pk}/delete/"
    assert b"Segment: Strangers" in operator.post(address, {"post": "yes"}).content
    act(operator, "contactlist", "delete_selected", news, post="yes")
    assert ContactList.objects.filter(pk=news.pk).exists()
    segment.delete()
    operator.post(address, {"post": "yes"})
    assert not ContactList.objects.exists()


def test_imports_are_watched_and_cancelled(people: People, operator: Client) -> None:
    ended = import_at_once(people.member, "email\nann@example.com\nnobody\n")
    upload(people.member, "email\nbob@example.com\n")
    waiting = ImportJob.objects.get(status="pending")
    page = operator.get("/admin/contacts/importjob/").content.decode()
    assert '<progress max="100" value="100"' in page
    shown = operator.get(f"/admin/contacts/importjob/{ended['id']}/change/").content.decode()
    address = f"/admin/contacts/importrowerror/?job__id__exact={ended['id']}"
    assert address in shown
    bad = operator.get(address)
    assert bad.status_code == 200
    assert b"not an email address" in bad.content
    act(operator, "importjob", "cancel", waiting)
    waiting.refresh_from_db()
    assert waiting.status == "cancelled"


def test_a_search_for_thousands_of_words_is_answered(people: People, operator: Client) -> None:
    Contact.objects.create(tenant=people.tenant, email="word@example.com")
    page = operator.get("/admin/contacts/contact/", {"q": "word " * 3_000})
    assert page.status_code == 200
    assert "word@example.com" in page.content.decode()

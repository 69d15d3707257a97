"""`contacts` over the API: who may, what is stored, what is refused and how."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.utils import timezone

from contacts.models import Contact, Suppression, SuppressionReason
from tests.people import People

ANN = {"email": "Ann@Example.com", "first_name": "Ann", "last_name": "Özil", "company": "Acme"}


def fields_of(response: Any) -> dict[str, Any]:
    """What an answer in the one error shape says of each field."""
    assert response.status_code == 400, response.content
    body = response.json()
    assert body["status"] == "error"
    assert "fields" in body["details"], body
    fields: dict[str, Any] = body["details"]["fields"]
    return fields


def read_csv(response: Any) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_contact_is_added_read_changed_and_removed(people: People) -> None:
    api = people.member.api
    added = api.post("/api/contacts", {**ANN, "attributes": {"city": "Köln", "age": 41}})
    assert added.status_code == 201
    contact = added.json()
    assert contact["email"] == "ann@example.com"
    assert contact["status"] == "subscribed"
    assert contact["attributes"] == {"city": "Köln", "age": 41}
    assert contact["email_count"] == 0
    assert contact["last_email_sent"] is None
    assert contact["last_campaign"] == ""
    assert contact["created_at"].endswith("Z")

    changed = api.patch(
        "/api/contacts/ann@example.com",
        {"company": "Globex", "attributes": {"age": None, "vip": True}},
    )
    assert changed.status_code == 200
    assert changed.json()["company"] == "Globex"
    assert changed.json()["first_name"] == "Ann"
    assert changed.json()["attributes"] == {"city": "Köln", "vip": True}
    assert api.get("/api/contacts/ANN@example.COM").json() == changed.json()

    assert api.delete("/api/contacts/ann@example.com").status_code == 204
    assert api.get("/api/contacts/ann@example.com").status_code == 404


def test_one_address_is_one_contact_unless_upsert_is_asked_for(people: People) -> None:
    api = people.member.api
    api.post("/api/contacts", {**ANN, "attributes": {"city": "Köln"}})
    again = api.post("/api/contacts", {"email": "ANN@EXAMPLE.COM"})
    assert (again.status_code, again.json()["error"]) == (409, "contact_exists")
    upserted = api.post(
        "/api/contacts?upsert=true",
        {"email": "ann@EXAMPLE.com", "company": "Globex", "attributes": {"vip": True}},
    )
    assert upserted.status_code == 200
    assert upserted.json()["first_name"] == "Ann"
    assert upserted.json()["company"] == "Globex"
    assert upserted.json()["attributes"] == {"city": "Köln", "vip": True}
    new = api.post("/api/contacts?upsert=true", {"email": "bob@example.com"})
    assert new.status_code == 201
    assert Contact.objects.count() == 2
    assert fields_of(api.post("/api/contacts?upsert=perhaps", ANN)).keys() == {"upsert"}


def test_an_address_is_not_changed_to_that_of_another_contact(people: People) -> None:
    api = people.member.api
    api.post("/api/contacts", ANN)
    api.post("/api/contacts", {"email": "bob@example.com"})
    taken = api.patch("/api/contacts/bob@example.com", {"email": "ann@example.com"})
    assert (taken.status_code, taken.json()["error"]) == (409, "contact_exists")
    moved = api.patch("/api/contacts/bob@example.com", {"email": "Bob@Bücher.example"})
    assert moved.json()["email"] == "bob@xn--bcher-kva.example"
    assert api.get("/api/contacts/bob@bücher.example").status_code == 200


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "a@b@c.example"}, "email"),
        ({"email": "ann@-bad-.example"}, "email"),
        ({"email": f"{'x' * 65}@example.com"}, "email"),
        ({"email": "ann@example.com\r\nBcc: eve@example.com"}, "email"),
        ({}, "email"),
        ({**ANN, "first_name": "Ann\r\nBcc: eve@example.com"}, "first_name"),
        ({**ANN, "last_name": "Lee\nX: y"}, "last_name"),
        ({**ANN, "company": "A\u2028B"}, "company"),
        ({**ANN, "first_name": "x" * 201}, "first_name"),
        ({**ANN, "status": "sleeping"}, "status"),
        ({**ANN, "attributes": ["a", "list"]}, "attributes"),
        ({**ANN, "attributes": {"": "no name"}}, "attributes"),
        ({**ANN, "attributes": {"big": "x" * 300_000}}, "attributes"),
        ({**ANN, "attributes": {str(number): 1 for number in range(501)}}, "attributes"),
        ({**ANN, "frist_name": "misspelt"}, "frist_name"),
    ],
)
def test_bad_input_is_refused_by_field(people: People, given: dict[str, Any], field: str) -> None:
    assert field in fields_of(people.member.api.post("/api/contacts", given))
    assert not Contact.objects.exists()


@pytest.mark.parametrize("ending", ["\r\n", "\n", "\r", "\n \t"])
@pytest.mark.parametrize("field", ["email", "first_name", "last_name", "company"])
def test_a_line_break_at_either_end_is_refused_and_not_trimmed(
    people: People, field: str, ending: str
) -> None:
    api = people.member.api
    api.post("/api/contacts", ANN)
    for text in (f"{ANN[field]}{ending}", f"{ending}{ANN[field]}"):
        answers = [
            api.post("/api/contacts?upsert=true", {**ANN, field: text}),
            api.patch("/api/contacts/ann@example.com", {field: text}),
        ]
        for answer in answers:
            assert fields_of(answer).keys() == {field}
            told = answer.json()["message"]
            assert told == f"{field}: This holds a line break or a NUL character."
    spaced = api.post("/api/contacts", {"email": "  bob@example.com ", "first_name": " Bob "})
    assert spaced.status_code == 201
    assert (spaced.json()["email"], spaced.json()["first_name"]) == ("bob@example.com", "Bob")


def test_a_name_that_is_refused_is_named_once(people: People) -> None:
    told = {
        people.member.api.post("/api/contacts", {**ANN, "company": company}).json()["message"]
        for company in ("A\u2028B", "x" * 201)
    }
    assert told == {
        "company: This holds a line break or another control character.",
        "company: Ensure this field has no more than 200 characters.",
    }


@pytest.mark.parametrize(
    "given",
    [
        {**ANN, "company": "nul \0 here"},
        {**ANN, "first_name": "half \ud800 pair"},
        {**ANN, "attributes": {"deep": {"nul": ["a\0b"]}}},
        {**ANN, "attributes": {"half": "\udfff"}},
    ],
)
def test_what_no_database_stores_is_refused(people: People, given: dict[str, Any]) -> None:
    response = people.member.api.post(
        "/api/contacts", json.dumps(given), content_type="application/json"
    )
    assert (response.status_code, response.json()["status"]) == (400, "error")
    assert not Contact.objects.exists()


def test_history_cannot_be_written_from_outside(people: People) -> None:
    api = people.member.api
    api.post("/api/contacts", ANN)
    response = api.patch("/api/contacts/ann@example.com", {"email_count": 99})
    assert response.status_code == 200
    assert response.json()["email_count"] == 0


def test_another_tenant_sees_and_touches_nothing(people: People) -> None:
    people.member.api.post("/api/contacts", ANN)
    for person in (people.stranger, people.namesake):
        assert person.api.get("/api/contacts").json()["contacts"] == []
        for method in ("get", "delete", "patch"):
            response = getattr(person.api, method)("/api/contacts/ann@example.com")
            assert response.status_code == 404
        assert read_csv(person.api.get("/api/contacts/export")) == []
    own = people.stranger.api.post("/api/contacts", {**ANN, "first_name": "Other"})
    assert own.status_code == 201
    assert people.member.api.get("/api/contacts/ann@example.com").json()["first_name"] == "Ann"


def test_a_viewer_reads_and_does_not_write(people: People) -> None:
    people.member.api.post("/api/contacts", ANN)
    api = people.viewer.api
    assert len(api.get("/api/contacts").json()["contacts"]) == 1
    assert api.get("/api/contacts/ann@example.com").status_code == 200
    assert api.post("/api/contacts", ANN).status_code == 403
    assert api.patch("/api/contacts/ann@example.com", {}).status_code == 403
    assert api.delete("/api/contacts/ann@example.com").status_code == 403
    assert api.post("/api/contacts/import").status_code == 403
    assert api.post("/api/suppressions", {"email": "a@example.com"}).status_code == 403


def test_an_idempotency_key_adds_once(people: People) -> None:
    api = people.member.api
    first = api.post("/api/contacts", ANN, headers={"Idempotency-Key": "one"})
    second = api.post("/api/contacts", ANN, headers={"Idempotency-Key": "one"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert second["Idempotent-Replayed"] == "true"
    assert Contact.objects.count() == 1


def test_the_list_goes_on_where_it_stopped(people: People) -> None:
    Contact.objects.bulk_create(
        Contact(tenant=people.tenant, email=f"c{number}@example.com") for number in range(7)
    )
    api, found, cursor = people.member.api, [], ""
    while True:
        page = api.get(f"/api/contacts?limit=3&cursor={cursor}").json()
        found += [contact["email"] for contact in page["contacts"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        Contact.objects.create(tenant=people.tenant, email=f"late{len(found)}@example.com")
    assert found == [f"c{number}@example.com" for number in reversed(range(7))]


def test_search_takes_beginnings_of_address_and_names(people: People) -> None:
    api = people.member.api
    api.post("/api/contacts", ANN)
    api.post("/api/contacts", {"email": "zoe@example.com", "first_name": "Zoé", "last_name": "Lee"})
    api.post("/api/contacts", {"email": "50%_off@example.com", "status": "unsubscribed"})

    def search(query: str) -> set[str]:
        found = api.get("/api/contacts", {"q": query}).json()["contacts"]
        return {contact["email"] for contact in found}

    assert search("ann@EX") == {"ann@example.com"}
    assert search("ozil") == search("ÖZ") == search("ann öz") == {"ann@example.com"}
    assert search("zoe le") == {"zoe@example.com"}
    assert search("zoe özil") == set()
    assert search("xample") == set()
    assert search("50%") == search("50%_") == {"50%_off@example.com"}
    assert search("50%x") == search("%") == search("_") == set()
    assert {
        contact["email"]
        for contact in api.get("/api/contacts?status=unsubscribed").json()["contacts"]
    } == {"50%_off@example.com"}
    assert fields_of(api.get("/api/contacts?status=asleep")).keys() == {"status"}


@pytest.mark.parametrize("path", ["/api/contacts", "/api/contacts/export"])
def test_search_takes_no_book(people: People, path: str) -> None:
    api = people.member.api
    api.post("/api/contacts", ANN)
    for query in ("x" * 201, "word " * 5_000):
        assert fields_of(api.get(path, {"q": query})).keys() == {"q"}
    assert api.get(path, {"q": "a " * 100}).status_code == 200


def test_odd_addresses_have_their_own_place(people: People) -> None:
    api = people.member.api
    for address, path in (
        ("a/b@example.com", "a%2Fb@example.com"),
        ("imports@example.com", "imports@example.com"),
        ("o'neil+tag@example.com", "o'neil+tag@example.com"),
    ):
        assert api.post("/api/contacts", {"email": address}).status_code == 201
        assert api.get(f"/api/contacts/{path}").json()["email"] == address
    assert api.get("/api/contacts/nobody@example.com").json()["error"] == "not_found"
    assert api.get("/api/contacts/@@example.com").status_code == 404


def test_the_export_is_harmless_in_a_spreadsheet(people: People) -> None:
    api = people.member.api
    api.post(
        "/api/contacts",
        {
            "email": "+ann@example.com",
            "first_name": "=1+1",
            "last_name": "@SUM(A1)",
            "company": 'Quote " and, comma',
            "attributes": {"city": "=HYPERLINK(1)"},
        },
    )
    api.post("/api/contacts", {"email": "bob@example.com", "status": "complained"})
    response = api.get("/api/contacts/export", headers={"Accept": "text/csv"})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in response["Content-Disposition"]
    ann, bob = read_csv(response)
    assert ann["email"] == "'+ann@example.com"
    assert ann["first_name"] == "'=1+1"
    assert ann["last_name"] == "'@SUM(A1)"
    assert ann["company"] == 'Quote " and, comma'
    assert not any(value.startswith(("=", "+", "-", "@")) for value in ann.values())
    assert bob["status"] == "complained"
    assert [row["email"] for row in read_csv(api.get("/api/contacts/export?q=bob"))] == [
        "bob@example.com"
    ]


def test_an_error_is_json_even_where_csv_was_asked_for(people: People) -> None:
    response = people.member.api.get(
        "/api/contacts/export?status=asleep", headers={"Accept": "text/csv"}
    )
    assert fields_of(response).keys() == {"status"}


def test_mailings_are_noted_once_a_contact(people: People) -> None:
    contacts = [
        Contact.objects.create(tenant=people.tenant, email=f"c{number}@example.com")
        for number in range(3)
    ]
    now = timezone.now()
    keys = [contacts[0].pk, contacts[1].pk, contacts[0].pk, 0]
    assert Contact.objects.note_mailing(keys, "campaign_1", now) == 2
    for contact in contacts:
        contact.refresh_from_db()
    assert [contact.email_count for contact in contacts] == [1, 1, 0]
    assert contacts[0].last_email_sent == now
    assert contacts[0].last_campaign == "campaign_1"
    assert contacts[2].last_email_sent is None


def test_a_contact_tells_why_no_campaign_writes_to_it(people: People) -> None:
    api = people.member.api
    for name in ("ann", "bob"):
        api.post("/api/contacts", {"email": f"{name}@example.com"})
    Suppression.objects.suppress(people.tenant, ["ann@example.com"], SuppressionReason.BOUNCED)
    Suppression.objects.suppress(people.other_tenant, ["bob@example.com"])
    changed = api.patch("/api/contacts/ann@example.com", {"status": "subscribed"}).json()
    assert (changed["status"], changed["suppressed"]) == ("subscribed", "bounced")
    upserted = api.post("/api/contacts?upsert=true", {"email": "ann@example.com"}).json()
    assert upserted["suppressed"] == "bounced"
    assert api.get("/api/contacts/bob@example.com").json()["suppressed"] is None
    rows = api.get("/api/contacts").json()["contacts"]
    assert [row["suppressed"] for row in rows] == [None, "bounced"]

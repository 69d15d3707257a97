"""Lists over the API: who is on them, who is not put back, who is asked first."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from contacts.models import Contact, ContactList, ListMember, MemberState
from tests.people import People, Person


def make_list(person: Person, name: str = "News", **fields: Any) -> int:
    """The key of a new list."""
    answer = person.api.post("/api/lists", {"name": name, **fields})
    assert answer.status_code == 201, answer.content
    key: int = answer.json()["id"]
    return key


def add(person: Person, key: int, *emails: str) -> dict[str, int]:
    answer = person.api.post(f"/api/lists/{key}/members", {"emails": emails})
    assert answer.status_code == 200, answer.content
    counts: dict[str, int] = answer.json()
    return counts


def members(person: Person, key: int, state: str = "") -> dict[str, str]:
    """Address → state."""
    query = f"?state={state}" if state else ""
    rows = person.api.get(f"/api/lists/{key}/members{query}").json()["members"]
    return {row["email"]: row["state"] for row in rows}


def test_a_list_is_made_read_changed_and_removed(people: People) -> None:
    api = people.member.api
    key = make_list(people.member, description="Once a month")
    assert api.patch(f"/api/lists/{key}", {"name": "Letters"}).json()["name"] == "Letters"
    add(people.member, key, "ann@example.com")
    (row,) = api.get("/api/lists").json()["lists"]
    assert (row["name"], row["description"], row["opt_in"]) == ("Letters", "Once a month", "single")
    assert (row["subscribed_count"], row["pending_count"], row["unsubscribed_count"]) == (1, 0, 0)
    assert api.delete(f"/api/lists/{key}").status_code == 204
    assert api.get(f"/api/lists/{key}").status_code == 404
    assert Contact.objects.filter(email="ann@example.com").exists()


def test_a_name_is_taken_once_in_a_tenant(people: People) -> None:
    key = make_list(people.member, "News")
    other = make_list(people.member, "Offers")
    umlaut = make_list(people.member, "Grüße")
    for name, mine in (("News", key), ("news", key), ("NEWS", key), ("GRÜSSE", umlaut)):
        for answer in (
            people.member.api.post("/api/lists", {"name": name}),
            people.member.api.patch(f"/api/lists/{other}", {"name": name}),
        ):
            assert (answer.status_code, answer.json()["error"]) == (409, "list_exists"), name
        assert people.member.api.patch(f"/api/lists/{mine}", {"name": name}).status_code == 200
    assert make_list(people.member, "Grusse") not in (key, umlaut)
    assert make_list(people.stranger, "News") != key


def test_addresses_become_contacts_and_members_once(people: People) -> None:
    Contact.objects.create(tenant=people.tenant, email="ann@example.com", first_name="Ann")
    Contact.objects.create(tenant=people.other_tenant, email="ann@example.com")
    key = make_list(people.member)
    emails = ("Ann@Example.com", "ann@example.com", "bob@bücher.example")
    assert add(people.member, key, *emails) == {"added": 2, "unchanged": 0}
    assert add(people.member, key, *emails, "carla@example.com") == {"added": 1, "unchanged": 2}
    assert members(people.member, key) == {
        "ann@example.com": "subscribed",
        "bob@xn--bcher-kva.example": "subscribed",
        "carla@example.com": "subscribed",
    }
    assert Contact.objects.get(tenant=people.tenant, email="ann@example.com").first_name == "Ann"
    assert not ListMember.objects.filter(contact__tenant=people.other_tenant).exists()


def test_one_bad_address_refuses_the_call_by_its_place(people: People) -> None:
    key = make_list(people.member)
    answer = people.member.api.post(
        f"/api/lists/{key}/members", {"emails": ["ann@example.com", "nobody"]}
    )
    assert answer.status_code == 400
    assert "1" in str(answer.json()["details"]["fields"]["emails"])
    assert not Contact.objects.exists()


def test_who_has_left_is_not_put_back(people: People) -> None:
    key = make_list(people.member)
    add(people.member, key, "ann@example.com")
    api = people.member.api
    left = api.patch(f"/api/lists/{key}/members/ann@example.com", {"state": "unsubscribed"}).json()
    assert left["state"] == "unsubscribed"
    assert left["left_at"] is not None
    assert add(people.member, key, "ann@example.com") == {"added": 0, "unchanged": 1}
    assert members(people.member, key, "subscribed") == {}
    back = api.patch(f"/api/lists/{key}/members/ann@example.com", {"state": "subscribed"}).json()
    assert (back["state"], back["left_at"]) == ("subscribed", None)
    assert back["confirmed_at"] is not None


def test_a_member_is_forgotten_with_its_place_alone(people: People) -> None:
    key = make_list(people.member)
    add(people.member, key, "ann@example.com")
    api = people.member.api
    assert api.delete(f"/api/lists/{key}/members/ANN@example.com").status_code == 204
    assert api.delete(f"/api/lists/{key}/members/ann@example.com").status_code == 404
    assert api.get(f"/api/lists/{key}/members/no address").status_code == 404
    assert Contact.objects.exists()
    assert add(people.member, key, "ann@example.com") == {"added": 1, "unchanged": 0}


def test_a_contact_tells_its_lists_and_is_put_on_lists(people: People) -> None:
    key, other = make_list(people.member, "News"), make_list(people.member, "Offers")
    foreign = make_list(people.stranger, "Theirs")
    api = people.member.api
    made = api.post("/api/contacts", {"email": "ann@example.com", "list_ids": [key]}).json()
    assert made["lists"] == [{"id": key, "name": "News", "state": "subscribed"}]
    api.patch("/api/contacts/ann@example.com", {"list_ids": [other]})
    (row,) = api.get("/api/contacts").json()["contacts"]
    assert [place["name"] for place in row["lists"]] == ["News", "Offers"]
    refused = api.patch("/api/contacts/ann@example.com", {"list_ids": [foreign]})
    assert refused.status_code == 400
    assert "list_ids" in refused.json()["details"]["fields"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "News", "opt_in": "triple"}, "opt_in"),
        ({"name": "News", "opt_in": "double"}, "from_email"),
        ({"name": "News", "opt_in": "double", "from_email": "news@example.org"}, "from_email"),
        ({"name": "News", "from_email": "nobody"}, "from_email"),
        (
            {"name": "News", "account_id": "00000000-0000-4000-8000-000000000000"},
            "account_id",
        ),
        ({"name": "News", "titel": "x"}, "titel"),
    ],
)
def test_bad_lists_are_refused_by_field(people: People, given: dict[str, Any], field: str) -> None:
    answer = people.member.api.post("/api/lists", given)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["details"]["fields"]
    assert not ContactList.objects.exists()


def test_double_opt_in_by_the_installations_own_server(people: People, settings: Settings) -> None:
    settings.SMTP_SERVER = "127.0.0.1"
    key = make_list(people.member, opt_in="double", from_email="News <news@example.org>")
    add(people.member, key, "ann@example.com")
    assert members(people.member, key) == {"ann@example.com": MemberState.PENDING}

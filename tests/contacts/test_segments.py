"""Segments: what is wrong with a rule, told by its place; whom a rule means, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from campaigns.models import Campaign, Delivery, DeliveryState
from contacts.bulk_writing import ContactValues, insert_contacts
from contacts.models import Contact, ContactList, ListMember, MemberState, Segment
from contacts.segments.compiling import matching
from contacts.segments.keeping import check_rule
from contacts.segments.language import read_rule
from mailhub.errors import InvalidInput
from tests.people import People

NOW = timezone.now()


def ask(field: str, op: str, value: Any = None) -> dict[str, Any]:
    """A condition on a field."""
    asked = {"field": field, "op": op}
    return asked if value is None else {**asked, "value": value}


@pytest.fixture
def crowd(people: People) -> People:
    """Ann, Bob, Carla, Dan: each unlike the others."""
    tenant = people.tenant
    rows = (
        ("ann", "Ann", "Özil", "ÄPFEL GmbH", {"city": "Köln", "age": "41", "vip": True}),
        ("bob", "Bob", "O'Brien", "50% off", {"city": "BERN", "age": 29, "joined": "2026-03-01"}),
        ("carla", "Carla", "", "", {"age": "unknown", "joined": "2025-01-31T10:00:00Z"}),
        ("dan", "", "", "Bern AG", {"größe": "38", "a.b": "x", "vip": False, "age": "2026-01-01"}),
    )
    for name, first, last, company, attributes in rows:
        Contact.objects.create(
            tenant=tenant,
            email=f"{name}@example.com",
            first_name=first,
            last_name=last,
            company=company,
            attributes=attributes,
        )
    Contact.objects.filter(email="bob@example.com").update(
        last_email_sent=NOW - timedelta(days=3), email_count=7, status="unsubscribed"
    )
    Contact.objects.filter(email="ann@example.com").update(
        last_email_sent=NOW - timedelta(days=40), email_count=1, last_campaign="campaign_1"
    )
    Contact.objects.create(tenant=people.other_tenant, email="foreign@example.com")
    return people


def meant(people: People, rule: dict[str, Any]) -> str:
    """The names of those whom the rule means, found in both ways."""
    contacts = Contact.objects.for_caller(people.member.caller).order_by("email")
    found = [
        " ".join(
            row.email.partition("@")[0] for row in matching(contacts, read_rule(rule), **options)
        )
        for options in ({}, {"one_by_one": True})
    ]
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (ask("email", "is", "ANN@example.com"), "ann"),
        (ask("email", "is_not", "ann@example.com"), "bob carla dan"),
        (ask("email", "begins_with", "C"), "carla"),
        (ask("email", "ends_with", "@Example.com"), "ann bob carla dan"),
        (ask("email", "contains", "_"), ""),
        (ask("first_name", "is", "ann"), "ann"),
        (ask("first_name", "is_not_set"), "dan"),
        (ask("last_name", "is", "ozil"), "ann"),
        (ask("last_name", "contains", "'"), "bob"),
        (ask("last_name", "is_set"), "ann bob"),
        (ask("last_name", "is_one_of", ["ÖZIL", "nobody"]), "ann"),
        (ask("company", "contains", "äpfel"), "ann"),
        (ask("company", "is", "äpfel gmbh"), "ann"),
        (ask("company", "contains", "%"), "bob"),
        (ask("company", "does_not_contain", "bern"), "ann bob carla"),
        (ask("company", "is_one_of", ["bern ag", "Äpfel gmbh"]), "ann dan"),
        (ask("status", "is", "unsubscribed"), "bob"),
        (ask("status", "is_one_of", ["bounced", "subscribed"]), "ann carla dan"),
        (ask("email_count", "at_least", 1), "ann bob"),
        (ask("email_count", "is", 7), "bob"),
        (ask("email_count", "is_not", 7), "ann carla dan"),
        (ask("email_count", "less_than", 1.5), "ann carla dan"),
        (ask("last_email_sent", "within_days", 30), "bob"),
        (ask("last_email_sent", "not_within_days", 30), "ann carla dan"),
        (ask("last_email_sent", "is_set"), "ann bob"),
        (ask("last_email_sent", "before", "2020-01-01"), ""),
        (ask("last_email_sent", "after", "2020-01-01T00:00:00+02:00"), "ann bob"),
        ({"not": ask("last_email_sent", "after", "2020-01-01")}, "carla dan"),
        (ask("last_campaign", "is", "campaign_1"), "ann"),
        (ask("attributes.city", "is", "köln"), "ann"),
        (ask("attributes.city", "is", "Bern"), "bob"),
        (ask("attributes.city", "is_not", "bern"), "ann carla dan"),
        (ask("attributes.city", "is_one_of", ["KÖLN", "bern"]), "ann bob"),
        (ask("attributes.city", "begins_with", "KÖ"), "ann"),
        (ask("attributes.city", "is_set"), "ann bob"),
        (ask("attributes.city", "is_not_set"), "carla dan"),
        (ask("attributes.age", "is", 41), "ann"),
        (ask("attributes.age", "is", "41"), "ann"),
        (ask("attributes.age", "at_least", 29), "ann bob"),
        (ask("attributes.age", "more_than", 29), "ann"),
        ({"not": ask("attributes.age", "more_than", 29)}, "bob carla dan"),
        (ask("attributes.age", "at_most", 5000), "ann bob"),
        (ask("attributes.vip", "is", True), "ann"),
        (ask("attributes.vip", "is_not", True), "bob carla dan"),
        (ask("attributes.vip", "is", False), "dan"),
        (ask("attributes.vip", "is_set"), "ann dan"),
        (ask("attributes.joined", "after", "2025-12-31"), "bob"),
        (ask("attributes.joined", "before", "2025-12-31"), "carla"),
        ({"not": ask("attributes.joined", "before", "2025-12-31")}, "ann bob dan"),
        (ask("attributes.größe", "is", 38), "dan"),
        (ask("attributes.a.b", "is", "X"), "dan"),
        (ask("attributes.$[0]", "is_set"), ""),
        ({"all": [ask("attributes.age", "is_set"), ask("company", "is_set")]}, "ann bob dan"),
        ({"any": [ask("first_name", "is", "Bob"), ask("company", "is_not_set")]}, "bob carla"),
        (
            {"not": {"any": [ask("first_name", "is", "Bob"), ask("company", "is", "x")]}},
            "ann carla dan",
        ),
        ({"not": {"not": ask("first_name", "is", "Bob")}}, "bob"),
    ],
    ids=str,
)
def test_whom_a_rule_means(crowd: People, rule: dict[str, Any], names: str) -> None:
    assert meant(crowd, rule) == names


@pytest.mark.parametrize(
    "endless", ["1" * 400, "-" + "9" * 400, f"0.{'0' * 400}1", 10**400, "5\n"], ids=range(5)
)
def test_an_endless_number_is_none_and_stops_nobody(crowd: People, endless: object) -> None:
    Contact.objects.filter(email="carla@example.com").update(attributes={"age": endless})
    assert meant(crowd, ask("attributes.age", "more_than", 29)) == "ann"
    assert meant(crowd, ask("attributes.age", "less_than", 30)) == "bob"


def test_lists_and_their_states(crowd: People) -> None:
    news = ContactList.objects.create(tenant=crowd.tenant, name="News")
    for name, state in (("ann", MemberState.SUBSCRIBED), ("bob", MemberState.UNSUBSCRIBED)):
        contact = Contact.objects.get(email=f"{name}@example.com")
        ListMember.objects.create(list=news, contact=contact, state=state)
    assert meant(crowd, {"list": news.pk}) == "ann"
    assert meant(crowd, {"list": news.pk, "state": "unsubscribed"}) == "bob"
    assert meant(crowd, {"not": {"list": news.pk}}) == "bob carla dan"


def test_what_happened_to_people(crowd: People) -> None:
    first, second = (
        Campaign.objects.create(tenant=crowd.tenant, name=name, from_email="a@example.org")
        for name in ("First", "Second")
    )
    for campaign, name, state, days in (
        (first, "ann", DeliveryState.SENT, 50),
        (second, "ann", DeliveryState.SENT, 2),
        (first, "bob", DeliveryState.FAILED, 50),
        (second, "carla", DeliveryState.SENT, 2),
    ):
        email = f"{name}@example.com"
        Delivery.objects.create(
            campaign=campaign,
            email=email,
            contact=Contact.objects.get(email=email),
            state=state,
            finished_at=NOW - timedelta(days=days),
        )
    Delivery.objects.create(campaign=first, email="bare@example.org", state=DeliveryState.SENT)
    assert meant(crowd, {"activity": "sent"}) == "ann carla"
    assert meant(crowd, {"not": {"activity": "sent"}}) == "bob dan"
    assert meant(crowd, {"activity": "sent", "campaign": first.campaign_id}) == "ann"
    assert meant(crowd, {"activity": "sent", "within_days": 30}) == "ann carla"
    assert meant(crowd, {"activity": "sent", "at_least": 2}) == "ann"
    assert meant(crowd, {"not": {"activity": "sent", "at_least": 2}}) == "bob carla dan"
    assert meant(crowd, {"activity": "sent", "at_least": 2, "within_days": 30}) == ""
    assert meant(crowd, {"activity": "failed"}) == "bob"


def nested(depth: int) -> dict[str, Any]:
    rule = ask("email", "is_set")
    for _ in range(depth):
        rule = {"not": rule}
    return rule


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("everyone", "rule"),
        ({}, "rule"),
        ({"all": []}, "rule.all"),
        ({"all": {"any": []}}, "rule.all"),
        ({"all": [ask("email", "is_set"), 3]}, "rule.all[1]"),
        ({"any": [{"not": ask("shoe_size", "is", "38")}]}, "rule.any[0].not.field"),
        ({"all": [], "any": []}, "rule"),
        ({**ask("email", "is_set"), "extra": 1}, "rule.extra"),
        (ask("email", "more_than", 3), "rule.op"),
        ({"field": "email"}, "rule.op"),
        (ask("email", "is"), "rule.value"),
        (ask("email", "is", " "), "rule.value"),
        (ask("email", "is", "a\0b"), "rule.value"),
        (ask("email", "is", "\ud800"), "rule.value"),
        (ask("email", "is", "x" * 501), "rule.value"),
        (ask("email", "is_set", "x"), "rule.value"),
        (ask("email", "is_one_of", []), "rule.value"),
        (ask("email", "is_one_of", ["a", 3]), "rule.value[1]"),
        (ask("status", "is", "asleep"), "rule.value"),
        (ask("email_count", "is", "7"), "rule.value"),
        (ask("email_count", "is", True), "rule.value"),
        (ask("email_count", "is", 1e300), "rule.value"),
        (ask("email_count", "at_least", float("nan")), "rule.value"),
        (ask("created_at", "before", "yesterday"), "rule.value"),
        (ask("created_at", "before", "2026-13-45"), "rule.value"),
        (ask("created_at", "within_days", 0), "rule.value"),
        (ask("created_at", "within_days", 10**9), "rule.value"),
        (ask("attributes.", "is_set"), "rule.field"),
        (ask('attributes.a"b', "is_set"), "rule.field"),
        (ask("attributes." + "x" * 101, "is_set"), "rule.field"),
        (ask("attributes.a", "is", {"a": 1}), "rule.value"),
        (ask("attributes.a", "contains", 3), "rule.value"),
        (ask("attributes.a", "before", "2026-01-01T10:00:00Z"), "rule.value"),
        ({"list": 987654321}, "rule.list"),
        ({"list": "1"}, "rule.list"),
        ({"list": True}, "rule.list"),
        ({"list": 10**30}, "rule.list"),
        ({"activity": "danced"}, "rule.activity"),
        ({"activity": ["sent"]}, "rule.activity"),
        ({"activity": "sent", "at_least": 0}, "rule.at_least"),
        ({"activity": "sent", "campaign": 3}, "rule.campaign"),
        ({"activity": "sent", "within_days": "30"}, "rule.within_days"),
        ({"any": [ask("email", "is_set")] * 101}, "rule.any"),
        ({"any": [{"any": [ask("email", "is_set")] * 60}] * 2}, "rule.any[1].any[40]"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_is_told_by_its_place(people: People, rule: Any, place: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_rule(people.member.caller, rule)
    assert place in refused.value.details["fields"]
    assert refused.value.code == "invalid_rule"


def test_all_that_is_wrong_is_told_at_once(people: People) -> None:
    rule = {"all": [ask("email", "is"), {"any": [{"list": 4}, ask("age", "is", 3)]}]}
    answer = people.member.api.post("/api/segments/preview", {"rule": rule}).json()
    assert answer["error"] == "invalid_rule"
    assert set(answer["details"]["fields"]) == {
        "rule.all[0].value",
        "rule.all[1].any[0].list",
        "rule.all[1].any[1].field",
    }


def test_rules_are_nested_to_a_limit(crowd: People) -> None:
    api = crowd.member.api
    assert api.post("/api/segments/preview", {"rule": nested(9)}).status_code == 200
    answer = api.post("/api/segments/preview", {"rule": nested(10)})
    assert list(answer.json()["details"]["fields"]) == ["rule" + ".not" * 10]


def test_a_segment_is_made_read_changed_and_removed(crowd: People) -> None:
    api = crowd.member.api
    rule = {"any": [ask("attributes.city", "is", "Bern"), ask("company", "begins_with", "bern")]}
    made = api.post("/api/segments", {"name": "Bern", "rule": rule})
    assert made.status_code == 201, made.content
    key = made.json()["id"]
    assert api.get(f"/api/segments/{key}").json()["rule"] == rule
    again = api.post("/api/segments", {"name": "Bern", "rule": rule})
    assert (again.status_code, again.json()["error"]) == (409, "segment_exists")
    found = api.get(f"/api/contacts?segment_id={key}").json()["contacts"]
    assert [row["email"] for row in found] == ["dan@example.com", "bob@example.com"]
    lines = api.get(f"/api/contacts/export?segment_id={key}").getvalue().decode().splitlines()
    assert len(lines) == 3
    changed = api.patch(f"/api/segments/{key}", {"rule": ask("first_name", "is", "Ann")})
    assert changed.status_code == 200
    (row,) = api.get("/api/segments").json()["segments"]
    assert row["rule"] == ask("first_name", "is", "Ann")
    assert api.patch(f"/api/segments/{key}", {"rule": {}}).status_code == 400
    assert api.delete(f"/api/segments/{key}").status_code == 204
    assert api.get(f"/api/contacts?segment_id={key}").status_code == 400


def test_a_preview_counts_and_shows_a_few(crowd: People) -> None:
    answer = crowd.viewer.api.post(
        "/api/segments/preview", {"rule": ask("email", "is_set"), "sample": 2}
    )
    assert answer.status_code == 200
    assert answer.json()["count"] == 4
    assert [row["email"] for row in answer.json()["sample"]] == [
        "dan@example.com",
        "carla@example.com",
    ]
    assert not Segment.objects.exists()


def test_a_list_of_another_tenant_is_none(crowd: People) -> None:
    theirs = ContactList.objects.create(tenant=crowd.other_tenant, name="Theirs")
    api = crowd.member.api
    assert api.post("/api/segments/preview", {"rule": {"list": theirs.pk}}).status_code == 400
    assert api.get(f"/api/contacts?list_id={theirs.pk}").status_code == 400


@pytest.mark.parametrize("deep", [False, True])
def test_a_list_that_a_segment_asks_for_is_not_deleted(crowd: People, deep: bool) -> None:
    api = crowd.member.api
    key = api.post("/api/lists", {"name": "News"}).json()["id"]
    rule: dict[str, Any] = {"not": {"list": key}}
    if deep:
        rule = {"all": [ask("email", "is_set"), {"any": [rule, ask("company", "is_set")]}]}
    made = api.post("/api/segments", {"name": "Strangers", "rule": rule}).json()
    refused = api.delete(f"/api/lists/{key}")
    assert refused.status_code == 409
    assert refused.json()["error"] == "list_in_use"
    assert refused.json()["details"]["segments"] == [{"id": made["id"], "name": "Strangers"}]
    assert "Strangers" in refused.json()["message"]
    assert api.delete(f"/api/segments/{made['id']}").status_code == 204
    assert api.delete(f"/api/lists/{key}").status_code == 204


def test_a_rule_whose_list_is_gone_means_nobody_and_says_so(crowd: People) -> None:
    news = ContactList.objects.create(tenant=crowd.tenant, name="News")
    segment = Segment.objects.create(
        tenant=crowd.tenant, name="Strangers", rule={"not": {"list": news.pk}}
    )
    assert meant(crowd, segment.rule) == "ann bob carla dan"
    news.delete()
    with pytest.raises(InvalidInput):
        meant(crowd, segment.rule)
    for way in ("contacts", "contacts/export"):
        refused = crowd.member.api.get(f"/api/{way}?segment_id={segment.pk}")
        assert (refused.status_code, refused.json()["error"]) == (400, "list_gone")


def test_contacts_of_a_list(crowd: People) -> None:
    api = crowd.member.api
    key = api.post("/api/lists", {"name": "News"}).json()["id"]
    api.post(f"/api/lists/{key}/members", {"emails": ["ann@example.com", "bob@example.com"]})
    api.patch(f"/api/lists/{key}/members/bob@example.com", {"state": "unsubscribed"})
    rows = api.get(f"/api/contacts?list_id={key}").json()["contacts"]
    assert [row["email"] for row in rows] == ["ann@example.com"]
    for bad in ("x", "-1", "9" * 30, "٣"):
        assert api.get("/api/contacts", {"list_id": bad}).status_code == 400


def test_many_contacts_are_counted_in_one_sweep_of_their_own(crowd: People) -> None:
    rows = [ContactValues(f"c{number}@example.org") for number in range(20_001)]
    insert_contacts(crowd.tenant.pk, rows)
    insert_contacts(crowd.other_tenant.pk, rows[:7])
    rule = {"not": ask("email", "is", "c1@example.org")}
    answer = crowd.member.api.post("/api/segments/preview", {"rule": rule, "sample": 1}).json()
    assert answer["count"] == 20_004
    assert answer["sample"][0]["email"] == "c20000@example.org"

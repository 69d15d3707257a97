"""The pages of segments: rows of a form become a rule and back, and are counted."""

from __future__ import annotations

from typing import Any

import pytest

from contacts.models import Contact, ContactList, Segment
from contacts.segments.rows import Row, rows_of, rule_of
from tests.pages.conftest import Visit
from tests.people import People

COUNTED = "/contacts/segments/count"


def form(*rows: tuple[str, str, str], mode: str = "all", **more: str) -> dict[str, Any]:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return {"mode": mode, **dict(zip(("what", "operator", "value"), columns, strict=True)), **more}


@pytest.fixture
def crowd(people: People) -> People:
    for name, city in (("ann", "Bern"), ("bob", "Köln"), ("carla", "Bern")):
        Contact.objects.create(
            tenant=people.tenant, email=f"{name}@example.com", attributes={"city": city}
        )
    return people


def condition(field: str, op: str, value: Any = None) -> dict[str, Any]:
    asked = {"field": field, "op": op}
    return asked if value is None else {**asked, "value": value}


@pytest.mark.parametrize(
    ("rows", "meant"),
    [
        ([Row("email", "is", " a@b.example ")], condition("email", "is", "a@b.example")),
        ([Row("email_count", "is", "7")], condition("email_count", "is", 7)),
        ([Row("attributes.age", "at_least", "2,5")], condition("attributes.age", "at_least", 2.5)),
        ([Row("company", "is_set", "ignored")], condition("company", "is_set")),
        (
            [Row("status", "is_one_of", "bounced, complained")],
            condition("status", "is_one_of", ["bounced", "complained"]),
        ),
        ([Row("list:3", "is", ""), Row()], {"list": 3}),
        ([Row("list:3", "is_not", "")], {"not": {"list": 3}}),
        (
            [Row("activity:sent", "is_not", "30")],
            {"not": {"activity": "sent", "within_days": 30}},
        ),
    ],
)
def test_rows_become_a_rule_and_the_same_rows_again(rows: list[Row], meant: dict[str, Any]) -> None:
    rule = rule_of("any", rows)
    assert rule == {"any": [meant]}
    shown = rows_of(rule)
    assert shown is not None
    assert rule_of(*shown) == rule


@pytest.mark.parametrize(
    "rule",
    [
        {"all": [{"any": [{"list": 3}]}]},
        {"not": {"not": {"list": 3}}},
        {"list": 3, "state": "pending"},
        {"activity": "sent", "at_least": 3},
        {"field": "attributes.vip", "op": "is", "value": True},
        {"field": "attributes.age", "op": "is", "value": 3},
        {"field": "company", "op": "is_one_of", "value": ["a, b"]},
    ],
    ids=str,
)
def test_rules_that_rows_would_change_are_not_shown_as_rows(rule: dict[str, Any]) -> None:
    assert rows_of(rule) is None


def test_a_segment_is_made_changed_and_deleted(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    assert "No segments yet" in client.get("/contacts/segments").text
    page = client.get("/contacts/segments/new").text
    assert '<option value="attributes.city">city</option>' in page
    rows = form(("attributes.city", "is", "bern"), name="Bern")
    more = client.post("/contacts/segments/new", {**rows, "more": "1"}).text
    assert more.count('name="what"') == 2
    assert 'value="bern"' in more
    assert not Segment.objects.exists()
    counted = client.post("/contacts/segments/new", {**rows, "count": "1"}).text
    assert "<strong>2 contacts</strong>" in counted
    assert client.post("/contacts/segments/new", rows).status_code == 302
    segment = Segment.objects.get()
    assert segment.rule == {"all": [{"field": "attributes.city", "op": "is", "value": "bern"}]}
    assert "bern" in client.get(f"/contacts/segments/{segment.pk}").text
    assert "2" in client.get(f"/contacts/segments/{segment.pk}/count").text
    people = client.get(f"/contacts?segment_id={segment.pk}").text
    assert "carla@example.com" in people
    assert "bob@example.com" not in people
    client.post(f"/contacts/segments/{segment.pk}/delete")
    assert not Segment.objects.exists()


def test_what_is_wrong_is_said_and_what_was_typed_is_kept(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    refused = client.post("/contacts/segments/new", form(("email_count", "is", "many"), name="X"))
    assert refused.status_code == 400
    assert "rule.all[0].value: Give a number." in refused.text
    assert 'value="many"' in refused.text
    unnamed = client.post("/contacts/segments/new", form(("email", "is_set", "")))
    assert "Give the segment a name." in unnamed.text
    foreign = ContactList.objects.create(tenant=crowd.other_tenant, name="Theirs")
    assert "Theirs" not in client.get("/contacts/segments/new").text
    answer = client.post("/contacts/segments/new", form((f"list:{foreign.pk}", "is", ""), name="X"))
    assert "There is no such list." in answer.text
    assert not Segment.objects.exists()


def test_a_draft_is_counted_while_it_is_typed(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    page = client.post(
        COUNTED, form(("email", "begins_with", "a"), ("email", "begins_with", "b"), mode="any")
    )
    assert "<strong>2 contacts</strong>" in page.text
    assert "bob@example.com" in page.text
    unfinished = client.post(COUNTED, form(("email", "is", "")))
    assert unfinished.status_code == 200
    assert "Not to be counted yet" in unfinished.text
    for nonsense in ({}, {"what": "x"}, {"rule": "{"}, form(("list:x", "is", ""))):
        assert "Not to be counted yet" in client.post(COUNTED, nonsense).text


def test_a_nested_rule_is_edited_as_json(crowd: People, visit: Visit) -> None:
    rule = {"all": [{"any": [{"field": "email", "op": "is_set"}]}]}
    segment = Segment.objects.create(tenant=crowd.tenant, name="Nested", rule=rule)
    client = visit(crowd.member)
    address = f"/contacts/segments/{segment.pk}"
    assert "nested deeper" in client.get(address).text
    assert "The rule is not JSON." in client.post(address, {"name": "Nested", "rule": "{"}).text
    client.post(address, {"name": "Nested", "rule": '{"any": [{"any": [{"list": 3}]}]}'})
    segment.refresh_from_db()
    assert segment.rule == rule
    changed = '{"any": [{"not": {"field": "email", "op": "is_not_set"}}]}'
    assert client.post(address, {"name": "Nested", "rule": changed}).status_code == 302
    segment.refresh_from_db()
    assert "any" in segment.rule

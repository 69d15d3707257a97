"""A person's history, all that is held about it, and its erasure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from campaigns.audience import Recipients, fix_audience
from campaigns.feedback.recording import Report, record_events
from campaigns.models import CampaignAudience, Delivery, DeliveryState, EventKind, EventSource
from contacts.models import Contact, ErasedAddress, ImportRowError, ListMember, Suppression
from tests.access.things import all_rows
from tests.campaigns.conftest import Campaigns, campaigns, states
from tests.contacts.imports import import_at_once
from tests.people import People

__all__ = ["campaigns"]
ANN = "person0@example.com"


def history(people: People, email: str = ANN, query: str = "") -> list[dict[str, Any]]:
    answer = people.viewer.api.get(f"/api/contacts/{email}/history{query}")
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["history"]
    return rows


def put_on_a_list(people: People, *emails: str) -> int:
    key: int = people.member.api.post("/api/lists", {"name": "News"}).json()["id"]
    people.member.api.post(f"/api/lists/{key}/members", {"emails": emails})
    return key


def test_a_history_tells_what_happened_the_newest_first(campaigns: Campaigns) -> None:
    people = campaigns.people
    campaigns.add_contacts(2)
    key = put_on_a_list(people, ANN)
    campaign = campaigns.finish(campaigns.create())
    people.member.api.patch(f"/api/lists/{key}/members/{ANN}", {"state": "unsubscribed"})
    people.member.api.post("/api/suppressions", {"email": ANN, "reason": "complained"})
    rows = history(people)
    kinds = [row["kind"] for row in rows]
    assert kinds == ["suppressed", "list_left", "delivery", "list_added", "added"]
    assert rows[2]["details"]["campaign_id"] == campaign.campaign_id
    assert rows[2]["details"]["state"] == "sent"
    assert rows[1]["details"] == {"list": "News"}
    moments = [row["at"] for row in rows]
    assert moments == sorted(moments, reverse=True)


def test_a_long_history_is_read_in_stretches(campaigns: Campaigns) -> None:
    people = campaigns.people
    (contact,) = campaigns.add_contacts(1)
    now = timezone.now()
    for number in range(130):
        campaign = campaigns.create(recipients=Recipients(emails=("x@example.com",)))
        Delivery.objects.create(
            campaign=campaign,
            contact=contact,
            email=ANN,
            state=DeliveryState.SENT,
            finished_at=now - timedelta(minutes=number // 3),
        )
    first = people.viewer.api.get(f"/api/contacts/{ANN}/history").json()
    assert first["next_before"] is not None
    rest = people.viewer.api.get(
        f"/api/contacts/{ANN}/history", {"before": first["next_before"]}
    ).json()
    assert rest["next_before"] is None
    told = [row["details"].get("campaign_id") for row in first["history"] + rest["history"]]
    assert len(told) == 131
    assert len(set(told)) == 131
    bad = people.viewer.api.get(f"/api/contacts/{ANN}/history?before=yesterday")
    assert bad.status_code == 400


def test_all_that_is_held_is_handed_out(campaigns: Campaigns) -> None:
    people = campaigns.people
    campaigns.add_contacts(1, attributes={"city": "Bern"}, company="Acme")
    put_on_a_list(people, ANN)
    campaign = campaigns.finish(campaigns.create())
    bare = campaigns.create(recipients=Recipients(emails=(ANN,)))
    fix_audience(bare)
    row = campaign.deliveries.get()
    noon = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
    click = Report(row.pk, EventKind.CLICK, noon, EventSource.PAGE, "c", details={"link": "x"})
    record_events([click, Report(row.pk, EventKind.OPEN, noon, EventSource.PAGE, "o")])
    held = people.viewer.api.get(f"/api/contacts/{ANN}/export").json()
    assert held["contact"]["attributes"] == {"city": "Bern"}
    assert held["contact"]["email_count"] == 1
    assert [(each["name"], each["state"]) for each in held["lists"]] == [("News", "subscribed")]
    assert held["suppression"] is None
    assert [(each["campaign_id"], each["state"]) for each in held["deliveries"]] == [
        (campaign.campaign_id, "sent"),
        (bare.campaign_id, "queued"),
    ]
    of_first, of_second = (each["events"] for each in held["deliveries"])
    assert sorted((each["kind"], each["details"]) for each in of_first) == [
        ("click", {"link": "x"}),
        ("open", {}),
    ]
    assert of_first[0]["at"] == "2026-05-04T12:00:00Z"
    assert of_second == []


def erase(people: People, email: str = ANN) -> None:
    answer = people.member.api.delete(f"/api/contacts/{email}?erase=true")
    assert answer.status_code == 204, answer.content


def test_an_address_that_is_no_contact_is_handed_out_and_erased(campaigns: Campaigns) -> None:
    people = campaigns.people
    for verb in ("get", "delete"):
        place = f"/api/contacts/{ANN}/export" if verb == "get" else f"/api/contacts/{ANN}?erase=1"
        assert getattr(people.member.api, verb)(place).status_code == 404
    sent = campaigns.finish(campaigns.create(recipients=Recipients(emails=(ANN,))))
    waiting = campaigns.create(recipients=Recipients(emails=("x@example.com", ANN)))
    people.member.api.post("/api/suppressions", {"email": ANN})
    assert people.stranger.api.get(f"/api/contacts/{ANN}/export").status_code == 404
    assert people.stranger.api.delete(f"/api/contacts/{ANN}?erase=true").status_code == 404
    assert people.member.api.delete(f"/api/contacts/{ANN}").status_code == 404
    held = people.viewer.api.get("/api/contacts/Person0@Example.com/export").json()
    assert (held["contact"], held["lists"]) == (None, [])
    assert held["suppression"]["reason"] == "manual"
    assert [each["campaign_id"] for each in held["audiences"]] == [
        sent.campaign_id,
        waiting.campaign_id,
    ]
    assert [(each["email"], each["state"]) for each in held["deliveries"]] == [(ANN, "sent")]
    erase(people)
    assert not [row for row in all_rows() if ANN in str(row)]
    assert people.viewer.api.get(f"/api/contacts/{ANN}/export").status_code == 404
    import_at_once(people.member, f"email\n{ANN}\n")
    assert Suppression.objects.get().reason == "erased"


def test_a_contact_that_was_removed_before_is_handed_out_and_erased(campaigns: Campaigns) -> None:
    people = campaigns.people
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create())
    import_at_once(people.member, f"email,first_name\n{ANN},{'x' * 300}\n")
    assert people.member.api.delete(f"/api/contacts/{ANN}").status_code == 204
    held = people.viewer.api.get(f"/api/contacts/{ANN}/export").json()
    assert (len(held["deliveries"]), len(held["import_errors"])) == (1, 1)
    erase(people)
    assert not [row for row in all_rows() if ANN in str(row)]


def test_a_history_tells_of_mail_before_there_was_a_contact(campaigns: Campaigns) -> None:
    people = campaigns.people
    campaign = campaigns.finish(
        campaigns.create(recipients=Recipients(emails=(ANN, "b@x.example")))
    )
    row = campaign.deliveries.get(email=ANN)
    record_events([Report(row.pk, EventKind.COMPLAINT, timezone.now(), EventSource.SES, "c")])
    Contact.objects.create(tenant=people.other_tenant, email=ANN)
    people.member.api.post("/api/contacts", {"email": ANN})
    told = [each["kind"] for each in history(people)]
    assert sorted(told) == ["added", "complaint", "delivery"]
    of_another = people.stranger.api.get(f"/api/contacts/{ANN}/history").json()["history"]
    assert [each["kind"] for each in of_another] == ["added"]


ROWS = f"""email,first_name
Person0@Example.com,{"x" * 300}
b@x.example,A,<{ANN}>
not{ANN},{"x" * 300}
other.{ANN},{"x" * 300}
{ANN}.example,{"x" * 300}
'+a@bücher.example,{"x" * 300}
"""


def test_bad_rows_that_hold_an_address_are_handed_out_and_erased(people: People) -> None:
    import_at_once(people.stranger, ROWS)
    state = import_at_once(people.member, ROWS)
    assert state["failed"] == 6
    for email, lines in ((ANN, [2, 3]), ("+a@xn--bcher-kva.example", [7])):
        made = people.member.api.post("/api/contacts", {"email": email})
        assert made.status_code == 201
        held = people.viewer.api.get(f"/api/contacts/{email}/export").json()["import_errors"]
        assert [row["line"] for row in held] == lines
        assert held[0]["import_id"] == state["id"]
        assert held[0]["filename"] == "people.csv"
        assert "longer than" in held[0]["reason"]
        assert held[0]["row"].endswith("x" * 300)
        erase(people, email)
    errors = people.member.api.get(f"/api/contacts/imports/{state['id']}/errors").json()["errors"]
    assert [row["line"] for row in errors] == [4, 5, 6]
    assert ImportRowError.objects.count() == 6 + 3


def test_an_erased_person_is_named_nowhere(campaigns: Campaigns) -> None:
    people = campaigns.people
    import_at_once(people.member, f"email,first_name\n{ANN},A\n{ANN},{'x' * 300}\nb@x.example,B\n")
    assert ImportRowError.objects.filter(text__contains=ANN).exists()
    put_on_a_list(people, ANN)
    campaigns.finish(campaigns.create())
    people.member.api.post("/api/suppressions", {"email": ANN})
    fix_audience(campaigns.create(recipients=Recipients(emails=(ANN, "c@x.example"))))
    erase(people)
    rows = all_rows()
    assert rows
    assert not [row for row in rows if ANN in str(row)]
    assert ErasedAddress.objects.count() == 1
    assert not ListMember.objects.exists()


def test_waiting_messages_to_an_erased_person_are_not_sent(campaigns: Campaigns) -> None:
    people = campaigns.people
    campaigns.add_contacts(2)
    by_contact = campaigns.create()
    bare = campaigns.create(recipients=Recipients(emails=(ANN, "x@example.com")))
    unfixed = campaigns.create(recipients=Recipients(emails=("x@example.com", ANN)))
    assert fix_audience(by_contact)
    assert fix_audience(bare)
    erase(people)
    for campaign in (by_contact, bare, unfixed):
        assert states(campaigns.finish(campaign)) == {"sent": 1, "skipped": 1}
        skipped = Delivery.objects.get(campaign=campaign, state=DeliveryState.SKIPPED)
        assert skipped.reply == "The person's data was erased."
    assert ANN not in campaigns.received()
    assert ANN not in str(list(CampaignAudience.objects.values_list("rule", flat=True)))


def test_an_erased_address_that_comes_back_is_suppressed(campaigns: Campaigns) -> None:
    people = campaigns.people
    for number in range(3):
        campaigns.people.member.api.post("/api/contacts", {"email": f"e{number}@example.com"})
        erase(people, f"e{number}@example.com")
    people.member.api.post("/api/contacts", {"email": "e0@example.com"})
    import_at_once(people.member, "email\ne1@example.com\nnew@example.com\n")
    assert set(Suppression.objects.values_list("email", "reason")) == {
        ("e0@example.com", "erased"),
        ("e1@example.com", "erased"),
    }
    assert [each.email for each in Contact.objects.mailable(people.tenant)] == ["new@example.com"]
    campaign = campaigns.create(recipients=Recipients(emails=("e2@example.com", "new@example.com")))
    campaign = campaigns.finish(campaign)
    assert states(campaign) == {"sent": 1, "skipped": 1}
    assert set(campaigns.received()) == {"new@example.com"}


def test_another_tenant_is_untouched_and_may_write(campaigns: Campaigns) -> None:
    people = campaigns.people
    Contact.objects.create(tenant=people.other_tenant, email=ANN)
    campaigns.add_contacts(1)
    erase(people)
    assert Contact.objects.mailable(people.other_tenant).filter(email=ANN).exists()
    assert ErasedAddress.objects.among(people.other_tenant.pk, [ANN]) == []


def test_campaigns_may_write_again_where_a_person_says_so(campaigns: Campaigns) -> None:
    people = campaigns.people
    campaigns.add_contacts(1)
    erase(people)
    assert people.member.api.delete(f"/api/suppressions/{ANN}").status_code == 204
    assert people.member.api.delete(f"/api/suppressions/{ANN}").status_code == 404
    people.member.api.post("/api/contacts", {"email": ANN})
    assert Contact.objects.mailable(people.tenant).filter(email=ANN).exists()


def test_a_contact_that_is_only_removed_is_no_erased_one(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    assert campaigns.people.member.api.delete(f"/api/contacts/{ANN}").status_code == 204
    assert not ErasedAddress.objects.exists()

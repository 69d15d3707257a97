"""`suppressions` over the API, and what they mean for a campaign."""

from __future__ import annotations

from contacts.models import Contact, Suppression
from tests.people import People


def test_an_address_is_suppressed_once_and_keeps_its_reason(people: People) -> None:
    api = people.member.api
    first = api.post("/api/suppressions", {"email": "Ann@example.com", "reason": "complained"})
    assert first.status_code == 201
    assert first.json()["email"] == "ann@example.com"
    again = api.post("/api/suppressions", {"email": "ann@EXAMPLE.com"})
    assert (again.status_code, again.json()["reason"]) == (200, "complained")
    assert [row["email"] for row in api.get("/api/suppressions").json()["suppressions"]] == [
        "ann@example.com"
    ]
    assert api.delete("/api/suppressions/ANN@example.com").status_code == 204
    assert api.delete("/api/suppressions/ann@example.com").status_code == 404
    assert api.delete("/api/suppressions/@@").status_code == 404


def test_bad_suppressions_are_refused(people: People) -> None:
    api = people.member.api
    for given in ({"email": "nobody"}, {"email": "a@b.example", "reason": "no"}, {"mail": "a@b.c"}):
        assert api.post("/api/suppressions", given).status_code == 400
    assert not Suppression.objects.exists()


def test_another_tenants_list_is_its_own(people: People) -> None:
    people.member.api.post("/api/suppressions", {"email": "ann@example.com"})
    assert people.stranger.api.get("/api/suppressions").json()["suppressions"] == []
    assert people.stranger.api.delete("/api/suppressions/ann@example.com").status_code == 404
    for tenant in (people.tenant, people.other_tenant):
        Contact.objects.create(tenant=tenant, email="ann@example.com")
    assert not Contact.objects.mailable(people.tenant).exists()
    assert Contact.objects.mailable(people.other_tenant).count() == 1


def test_whom_a_campaign_may_write_to(people: People) -> None:
    for status in ("subscribed", "unsubscribed", "bounced", "complained"):
        Contact.objects.create(tenant=people.tenant, email=f"{status}@example.com", status=status)
    Contact.objects.create(tenant=people.tenant, email="held@example.com")
    Suppression.objects.suppress(people.tenant, ["held@example.com", "held@example.com"])
    mailable = Contact.objects.mailable(people.tenant)
    assert [contact.email for contact in mailable] == ["subscribed@example.com"]
    people.member.api.delete("/api/contacts/held@example.com")
    assert Suppression.objects.filter(email="held@example.com").exists()

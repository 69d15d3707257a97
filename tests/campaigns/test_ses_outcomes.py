"""What SES tells of a message that it took: that it did not send it, or that somebody left."""

from __future__ import annotations

from campaigns.models import Campaign, Delivery, DeliveryEvent, SesTopic
from campaigns.tallies import wrong_tallies
from contacts.models import Contact, ContactList, ListMember
from tests.campaigns.test_feedback import people, published, sent, suppressed, tell, topic
from tests.pages.conftest import log_in
from tests.people import People

__all__ = ["people", "sent", "topic"]


def status_of(people: People, campaign: Campaign) -> dict[str, int]:
    found = people.viewer.api.get(f"/api/campaign-status/{campaign.campaign_id}").json()
    return {name: found[f"{name}_count"] for name in ("sent", "failed", "unsubscribed")}


def test_what_ses_did_not_send_has_failed_with_its_reason(
    people: People, topic: SesTopic, sent: list[Delivery]
) -> None:
    first, second = sent[:2]
    rejected = published(first, "Reject", reason="Bad content")
    not_rendered = published(second, "Rendering Failure", errorMessage="No attribute 'name'.")
    tell(topic, rejected, not_rendered, rejected)
    campaign = first.campaign
    counts = status_of(people, campaign)
    assert (counts["sent"], counts["failed"], wrong_tallies()) == (4, 2, {})
    path = f"/api/campaigns/{campaign.campaign_id}/deliveries"
    rows = people.viewer.api.get(path, {"state": "failed"}).json()["deliveries"]
    assert [row["email"] for row in rows] == [first.email, second.email]
    assert "Bad content" in rows[0]["reply"]
    assert "No attribute" in rows[1]["reply"]
    client = log_in(people.viewer)
    page = client.get(f"/campaigns/{campaign.campaign_id}/recipients?show=failed").text
    assert "Bad content" in page
    assert "did not send it: Bad content" in client.get(f"/campaigns/{campaign.campaign_id}").text


def test_a_rejection_that_is_quicker_than_our_own_record_waits_for_it(
    topic: SesTopic, sent: list[Delivery]
) -> None:
    first = sent[0]
    own = Delivery.objects.filter(pk=first.pk)
    own.update(provider_id="", state="sending")
    event = published(first, "Reject", reason="Bad content")
    event["mail"]["tags"] = {"campaign": [first.campaign.campaign_id]}
    tell(topic, event)
    assert not DeliveryEvent.objects.exists()
    own.update(provider_id=first.provider_id, state="sent")
    tell(topic, event)
    assert own.get().state == "failed"


def test_leaving_by_a_subscription_of_ses_is_counted(
    people: People, topic: SesTopic, sent: list[Delivery]
) -> None:
    first, second = sent[:2]
    contact = Contact.objects.get(email=first.email)
    named = ContactList.objects.create(tenant=contact.tenant, name="News")
    ListMember.objects.create(list=named, contact=contact)
    over = published(first, "Subscription", newTopicPreferences={"unsubscribeAll": True})
    other = published(second, "Subscription", newTopicPreferences={"unsubscribeAll": False})
    tell(topic, over, over, other)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.unsubscribed_at is not None, second.unsubscribed_at) == (True, None)
    assert status_of(people, first.campaign)["unsubscribed"] == 1
    assert suppressed() == {first.email: "unsubscribed"}
    assert ListMember.objects.get().state == "unsubscribed"

"""What SES tells of a message that it took: that it did not send it, or that somebody left."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.utils import timezone

from campaigns.models import Campaign, Delivery, DeliveryEvent, SendShift, SesTopic
from campaigns.tallies import wrong_tallies
from contacts.models import Contact, ContactList, ListMember
from tests.campaigns.test_feedback import (
    bounce,
    complaint,
    people,
    published,
    sent,
    suppressed,
    tell,
    topic,
)
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
    shift = SendShift.objects.create(campaign=first.campaign, asked_at=timezone.now())
    own.update(provider_id="", state="queued", shift=shift)
    event = published(first, "Reject", reason="Bad content")
    event["mail"]["tags"] = {"campaign": [first.campaign.campaign_id]}
    tell(topic, event)
    assert not DeliveryEvent.objects.exists()
    own.update(provider_id=first.provider_id, state="sent", shift=None)
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


def delay(delivery: Delivery, words: str) -> Any:
    late = {"emailAddress": delivery.email, "status": "4.4.1", "diagnosticCode": words}
    return published(delivery, "DeliveryDelay", delayType="MailboxFull", delayedRecipients=[late])


def test_why_it_came_back_or_is_late_is_shown_with_the_recipient(
    people: People, topic: SesTopic, sent: list[Delivery]
) -> None:
    gone, late = sent[:2]
    words = "smtp; 550 5.1.1 <nobody> no such user"
    tell(
        topic,
        bounce(gone, "Transient", "MailboxFull", status="4.2.2", diagnosticCode="452 4.2.2 full"),
        bounce(gone, status="5.1.1", diagnosticCode=words),
        delay(late, "421 4.4.1 unable to connect"),
    )
    campaign_id = gone.campaign.campaign_id
    rows = people.viewer.api.get(f"/api/campaigns/{campaign_id}/deliveries").json()["deliveries"]
    told = [[row[name] for name in ("state", "bounce_class", "bounce_reason")] for row in rows]
    assert told[:2] == [["sent", "hard", words], ["sent", "", ""]]
    assert [row["delay_reason"] for row in rows[:2]] == ["", "421 4.4.1 unable to connect"]
    client = log_in(people.viewer)
    page = client.get(f"/campaigns/{campaign_id}/recipients").text
    assert "Came back (hard): smtp; 550 5.1.1 &lt;nobody&gt; no such user" in page
    assert "Was late: 421 4.4.1 unable to connect" in page
    file = client.get(f"/campaigns/{campaign_id}/recipients.csv").getvalue().decode()
    lines = list(csv.DictReader(io.StringIO(file)))
    assert (lines[0]["bounce_class"], lines[0]["bounce_reason"]) == ("hard", words)
    assert lines[1]["delay_reason"] == "421 4.4.1 unable to connect"


def test_a_contacts_history_names_the_campaign_of_a_bounce_and_of_a_complaint(
    people: People, topic: SesTopic, sent: list[Delivery]
) -> None:
    gone, angry = sent[:2]
    tell(topic, bounce(gone, status="5.1.1", diagnosticCode="550 no such user"), complaint(angry))
    rows = people.viewer.api.get(f"/api/contacts/{gone.email}/history").json()["history"]
    told = next(row for row in rows if row["kind"] == "bounce")
    assert told["details"]["campaign_id"] == gone.campaign.campaign_id
    assert (told["details"]["verdict"], told["details"]["reply"]) == ("hard", "550 no such user")
    page = log_in(people.viewer).get(f"/contacts/{Contact.objects.get(email=angry.email).pk}").text
    assert f"{angry.campaign.name}: called spam" in page


def test_the_links_that_ses_tells_of_are_in_the_report(
    people: People, topic: SesTopic, sent: list[Delivery]
) -> None:
    link, agent = "https://shop.example/spring?a=1", "Mozilla/5.0 (X11)"
    at = ("2026-11-01T10:30:00.000Z", "2026-11-01T11:30:00.000Z")
    first, second = sent[:2]
    tell(
        topic,
        published(first, "Click", link=link, userAgent=agent, timestamp=at[0]),
        published(first, "Click", link=link, userAgent=agent, timestamp=at[1]),
        published(second, "Click", link=link, userAgent=agent),
        published(second, "Click", link=link, userAgent="curl/8"),
    )
    page = log_in(people.viewer).get(f"/campaigns/{first.campaign.campaign_id}").text
    row = page.partition('<th scope="row" class="link-target">')[2].partition("</tr>")[0]
    assert row.startswith(link)
    assert [part.partition("<")[0] for part in row.split(">") if part[:1].isdigit()] == list("231")

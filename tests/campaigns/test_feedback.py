"""What comes back of a campaign, from SES, from mailboxes and while sending, and what follows."""

from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from campaigns.feedback.following import follow_notices
from campaigns.feedback.intake import keep_notices
from campaigns.feedback.proof import read_proof
from campaigns.models import (
    Campaign,
    Delivery,
    DeliveryEvent,
    ResponseTally,
    SesNotice,
    SesTopic,
)
from contacts.models import Contact, ContactList, ListMember, Suppression
from mailhub.mail.transports.in_memory import Step
from tests.campaigns.conftest import Campaigns, states
from tests.people import People
from tests.servers.sns import TOPIC

_NUMBERS = itertools.count()
WARNING = (
    "Much came back: 2.7 % of 1,100 messages bounced for good, and 0.00 % of the recipients"
    " complained. It is paused at 5 % of bounces or 0.1 % of complaints."
)


def mail(delivery: Delivery, **fields: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-11-01T10:00:00.000Z",
        "messageId": delivery.provider_id,
        "destination": [delivery.email],
        **fields,
    }


def bounce(
    delivery: Delivery, kind: str = "Permanent", subtype: str = "General", **about: str
) -> Any:
    """In the form of a notification."""
    return {
        "notificationType": "Bounce",
        "mail": mail(delivery),
        "bounce": {
            "bounceType": kind,
            "bounceSubType": subtype,
            "bouncedRecipients": [{"emailAddress": delivery.email, **about}],
            "timestamp": "2026-11-01T10:00:05.000Z",
            "feedbackId": f"feedback-{delivery.pk}-{kind}",
        },
    }


def complaint(delivery: Delivery, feedback: str = "abuse") -> Any:
    """In the form of event publishing."""
    return {
        "eventType": "Complaint",
        "mail": mail(delivery, tags={"tenant": ["acme"]}),
        "complaint": {
            "complainedRecipients": [{"emailAddress": f"Some One <{delivery.email}>"}],
            "complaintFeedbackType": feedback,
            "timestamp": "2026-11-01T11:00:00.000Z",
            "feedbackId": f"complaint-{delivery.pk}",
        },
    }


def published(delivery: Delivery, name: str, **part: Any) -> Any:
    """Another event of event publishing."""
    key = {"Rendering Failure": "failure", "DeliveryDelay": "deliveryDelay"}.get(name, name.lower())
    values = {"timestamp": "2026-11-01T10:30:00.000Z", **part}
    return {"eventType": name, "mail": mail(delivery), key: values}


@pytest.fixture
def topic(people: People) -> SesTopic:
    return SesTopic.objects.create(tenant=people.tenant, arn=TOPIC)


@pytest.fixture
def sent(campaigns: Campaigns) -> list[Delivery]:
    """Six people have it; SES calls each message by a name."""
    campaigns.add_contacts(6)
    campaign = campaigns.finish(campaigns.create())
    for delivery in Delivery.objects.filter(campaign=campaign):
        Delivery.objects.filter(pk=delivery.pk).update(
            provider_id=f"0102-{delivery.pk}", finished_at=datetime(2026, 11, 1, 9, tzinfo=UTC)
        )
    return list(Delivery.objects.filter(campaign=campaign).order_by("pk"))


@pytest.fixture
def people(campaigns: Campaigns) -> People:
    return campaigns.people


def tell(topic: SesTopic, *events: Any) -> None:
    """SES tells these, each by a notice of its own, and they are acted on."""
    keep_notices(topic, [(f"notice-{next(_NUMBERS)}", json.dumps(event)) for event in events])
    follow_notices()


def contact_status(delivery: Delivery) -> str:
    return Contact.objects.get(email=delivery.email).status


def suppressed() -> dict[str, str]:
    return dict(Suppression.objects.values_list("email", "reason"))


def test_a_hard_bounce_suppresses_once_whatever_the_order_and_number(
    topic: SesTopic, sent: list[Delivery]
) -> None:
    gone, angry = sent[0], sent[1]
    events = [
        bounce(gone, diagnosticCode="smtp; 550 5.1.1 no such user", status="5.1.1"),
        published(gone, "Send"),
        complaint(angry),
        published(angry, "Delivery", smtpResponse="250 ok", recipients=[angry.email]),
        published(sent[2], "Delivery", smtpResponse="250 ok", recipients=[sent[2].email]),
    ] * 3
    random.Random(7).shuffle(events)
    tell(topic, *events)
    assert suppressed() == {gone.email: "bounced", angry.email: "complained"}
    assert [contact_status(each) for each in sent[:3]] == ["bounced", "complained", "subscribed"]
    tally = ResponseTally.objects.get()
    assert (tally.bounced, tally.complained, tally.delivered) == (1, 1, 2)
    assert DeliveryEvent.objects.count() == 4
    gone.refresh_from_db()
    assert gone.bounced_at == datetime(2026, 11, 1, 10, 0, 5, tzinfo=UTC)
    assert not SesNotice.objects.filter(due_at__isnull=False).exists()


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        (("Permanent", "General", {}), "hard"),
        (("Permanent", "NoEmail", {}), "hard"),
        (("Permanent", "OnAccountSuppressionList", {}), "hard"),
        (("Permanent", "General", {"diagnosticCode": "550 5.7.1 blocked as spam"}), "policy"),
        (("Undetermined", "Undetermined", {"diagnosticCode": "something"}), "unclear"),
        (("Transient", "MailboxFull", {"status": "4.2.2"}), "soft"),
        (("Transient", "ContentRejected", {}), "content"),
        (("Transient", "MessageTooLarge", {}), "content"),
    ],
)
def test_what_a_bounce_means(
    topic: SesTopic, sent: list[Delivery], event: Any, verdict: str
) -> None:
    kind, subtype, about = event
    tell(topic, bounce(sent[0], kind, subtype, **about))
    assert DeliveryEvent.objects.get().verdict == verdict
    assert bool(suppressed()) is (verdict == "hard")


def test_a_vacation_message_is_no_bounce(topic: SesTopic, sent: list[Delivery]) -> None:
    tell(topic, bounce(sent[0], "Transient", "General"))
    assert not DeliveryEvent.objects.exists()


@pytest.mark.parametrize("feedback", ["not-spam", "auth-failure"])
def test_feedback_that_is_no_complaint_changes_nobody(
    topic: SesTopic, sent: list[Delivery], feedback: str
) -> None:
    tell(topic, complaint(sent[0], feedback))
    assert not suppressed()
    assert contact_status(sent[0]) == "subscribed"


def test_whoever_complains_leaves_all_lists(topic: SesTopic, sent: list[Delivery]) -> None:
    contact = Contact.objects.get(email=sent[0].email)
    named = ContactList.objects.create(tenant=contact.tenant, name="News")
    ListMember.objects.create(list=named, contact=contact)
    tell(topic, complaint(sent[0]))
    assert ListMember.objects.get().state == "unsubscribed"


def test_five_soft_bounces_in_a_row_suppress_and_four_do_not(
    topic: SesTopic, campaigns: Campaigns
) -> None:
    campaigns.add_contacts(1)
    for number in range(1, 6):
        campaign = campaigns.finish(campaigns.create(name=f"Number {number}"))
        delivery = Delivery.objects.get(campaign=campaign)
        delivery.provider_id = f"0102-{delivery.pk}"
        delivery.save()
        tell(topic, bounce(delivery, "Transient", "MailboxFull", status="4.2.2"))
        tell(topic, bounce(delivery, "Transient", "MailboxFull", status="4.2.2"))
        assert bool(suppressed()) is (number == 5)


def test_every_kind_of_event_is_kept(topic: SesTopic, sent: list[Delivery]) -> None:
    first = sent[0]
    tell(
        topic,
        published(first, "Send"),
        published(first, "DeliveryDelay", delayType="MailboxFull",
                  delayedRecipients=[{"emailAddress": first.email, "status": "4.2.2"}]),
        published(first, "Reject", reason="Bad content"),
        published(first, "Rendering Failure", errorMessage="no such variable"),
        published(first, "Open", userAgent="Mozilla/5.0 (X11)", ipAddress="192.0.2.1"),
        published(first, "Open", userAgent="curl/8", ipAddress="192.0.2.1"),
        published(first, "Click", userAgent="Mozilla/5.0 (X11)", link="https://example.org/a"),
        published(first, "Subscription", newTopicPreferences={"unsubscribeAll": True}),
        {"Successfully validated": "SNS topic for Amazon SES event publishing."},
        {"eventType": "Bounce", "mail": {"messageId": 5}, "bounce": "nonsense"},
    )  # fmt: skip
    kinds = sorted(DeliveryEvent.objects.values_list("kind", "is_automatic"))
    assert kinds == [
        ("click", False),
        ("delay", False),
        ("open", False),
        ("open", True),
        ("reject", False),
        ("rendering_failure", False),
        ("unsubscribe", False),
    ]
    assert suppressed() == {first.email: "unsubscribed"}
    assert contact_status(first) == "unsubscribed"


def test_a_topic_touches_no_other_tenants_rows(people: People, sent: list[Delivery]) -> None:
    foreign = SesTopic.objects.create(tenant=people.other_tenant, arn=f"{TOPIC}-foreign")
    tell(foreign, bounce(sent[0]), complaint(sent[1]))
    assert not DeliveryEvent.objects.exists()
    assert not Suppression.objects.exists()
    assert SesNotice.objects.filter(due_at__isnull=False).count() == 2


def test_an_event_that_is_faster_than_our_own_record_is_not_lost(
    topic: SesTopic, sent: list[Delivery]
) -> None:
    first = sent[0]
    Delivery.objects.filter(pk=first.pk).update(provider_id="")
    tell(topic, bounce(first))
    assert not DeliveryEvent.objects.exists()
    Delivery.objects.filter(pk=first.pk).update(provider_id=first.provider_id)
    SesNotice.objects.update(due_at=SesNotice.objects.get().received_at)
    follow_notices()
    assert DeliveryEvent.objects.get().delivery_id == first.pk


def test_an_event_proves_that_an_uncertain_message_was_sent(
    topic: SesTopic, sent: list[Delivery]
) -> None:
    first = sent[0]
    Delivery.objects.filter(pk=first.pk).update(provider_id="", state="uncertain")
    event = published(first, "Send")
    event["mail"]["tags"] = {"campaign": [first.campaign.campaign_id]}
    tell(topic, event)
    kept = Delivery.objects.get(pk=first.pk)
    assert (kept.state, kept.provider_id) == ("sent", first.provider_id)


def test_too_many_bounces_pause_a_campaign_and_half_of_them_warn(
    topic: SesTopic, campaigns: Campaigns
) -> None:
    campaigns.add_contacts(1100)
    campaign = campaigns.create()
    campaigns.finish(campaign)
    Campaign.objects.filter(pk=campaign.pk).update(status="in_progress", completed_at=None)
    rows = list(Delivery.objects.filter(campaign=campaign).order_by("pk")[:60])
    for row in rows:
        row.provider_id = f"0102-{row.pk}"
    Delivery.objects.bulk_update(rows, ["provider_id"])
    for count, status, words in ((20, "in_progress", ""), (30, "in_progress", WARNING),
                                 (60, "paused", "Too much came back: 5.5 %")):  # fmt: skip
        tell(topic, *(bounce(row) for row in rows[:count]))
        campaign.refresh_from_db()
        assert (campaign.status, campaign.last_error.startswith(words)) == (status, True)
    assert campaign.pause_reason == "bounces"


def test_one_that_is_over_is_not_warned_of_a_pause(topic: SesTopic, campaigns: Campaigns) -> None:
    campaigns.add_contacts(1000)
    campaign = campaigns.finish(campaigns.create())
    rows = list(Delivery.objects.filter(campaign=campaign).order_by("pk")[:30])
    for row in rows:
        row.provider_id = f"0102-{row.pk}"
    Delivery.objects.bulk_update(rows, ["provider_id"])
    tell(topic, *(bounce(row) for row in rows))
    campaign.refresh_from_db()
    assert (campaign.status, campaign.last_error) == ("completed", "")


def test_a_refusal_while_sending_is_a_bounce_as_well(campaigns: Campaigns) -> None:
    campaigns.add_contacts(3)
    script = campaigns.server.script
    script.answer(Step.RCPT, "550 5.1.1 No such user here", address="person0@example.com")
    script.answer(Step.RCPT, "550 5.7.1 Not wanted", address="person1@example.com")
    campaign = campaigns.finish(campaigns.create())
    assert states(campaign) == {"sent": 1, "failed": 2}
    assert suppressed() == {"person0@example.com": "bounced"}
    verdicts = DeliveryEvent.objects.values_list("delivery__email", "verdict", "source")
    assert set(verdicts) == {
        ("person0@example.com", "hard", "reply"),
        ("person1@example.com", "policy", "reply"),
    }


def test_the_envelope_is_from_an_address_of_ones_own_for_each_recipient(
    people: People, campaigns: Campaigns
) -> None:
    account = people.connect_account(people.member)
    api = people.member.api
    answer = api.patch(f"/api/accounts/{account.pk}", {"bounceAddress": "bounce@acme.example"})
    assert answer.json()["bounceAddress"] == "bounce@acme.example"
    account.refresh_from_db()
    campaigns.add_contacts(3)
    campaign = campaigns.finish(campaigns.create(server=None, account=account))
    senders = {message.envelope.sender for message in campaigns.server.messages}
    assert {read_proof(sender) for sender in senders} == {
        row.pk for row in Delivery.objects.filter(campaign=campaign)
    }
    assert all(sender.startswith("bounce+") for sender in senders)

"""Whom a report is about: who is named in it, not whoever the message was for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from campaigns.feedback.proof import return_path, write_proof
from campaigns.models import Delivery, DeliveryEvent, ResponseTally, SesTopic
from mailboxes.models import Message, OutboxMessage
from mailboxes.outbox.sending import send_due
from mailboxes.signals import report_found
from mailhub.mail.bounce import (
    Action,
    BounceReport,
    RecipientReport,
    ReportKind,
    Returned,
    Verdict,
)
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
from tests.mailboxes.test_outbox import ask
from tests.people import People
from tests.servers.ses import KEYS, REGION, SesFake

__all__ = ["people", "sent", "topic"]
FOREIGN = "other.person@elsewhere.example"


def find_report(people: People, *told: RecipientReport, **fields: Any) -> None:
    """A report that a sync has found in the member's mailbox."""
    message = Message.objects.first() or Message.objects.create(
        account=people.connect_account(people.member),
        message_id="report@mx.example",
        received_at=datetime(2026, 11, 2, tzinfo=UTC),
        size=100,
    )
    report = BounceReport(
        kind=fields.pop("kind", ReportKind.DELIVERY_STATUS),
        recipients=told,
        returned=fields.pop("returned", Returned()),
        **fields,
    )
    report_found.send(
        sender=Message,
        tenant_id=people.tenant.pk,
        account_id=message.account_id,
        message_id=message.pk,
        report=report,
        outbox_id=None,
    )


def failed(address: str, original: str = "") -> RecipientReport:
    return RecipientReport(
        address=address,
        original_address=original,
        action=Action.FAILED,
        status="5.1.1",
        verdict=Verdict.HARD,
    )


def delivered(address: str) -> RecipientReport:
    return RecipientReport(
        address=address, action=Action.DELIVERED, status="2.0.0", verdict=Verdict.DELIVERED
    )


@pytest.mark.parametrize("way", ["verp", "message id", "forged", "none"])
def test_a_report_in_a_mailbox_counts_where_it_holds_the_messages_token(
    people: People, sent: list[Delivery], way: str
) -> None:
    first = sent[0]
    told = failed(first.email)
    match way:
        case "verp":
            address = return_path("bounce@example.org", first.pk).upper()
            find_report(people, told, sent_to=(address,))
            find_report(people, told, sent_to=(address,))
        case "message id":
            returned = Returned(message_id=first.message_id.strip("<>"))
            find_report(people, told, returned=returned)
        case "forged":
            token = f"{sent[1].pk:x}-{write_proof(first.pk).partition('-')[2]}"
            find_report(people, told, sent_to=(f"bounce+{token}@example.org",))
        case _:
            find_report(people, told)
    is_believed = way in ("verp", "message id")
    assert suppressed() == ({first.email: "bounced"} if is_believed else {})
    assert DeliveryEvent.objects.count() == is_believed


def tell_by_mail(people: People, delivery: Delivery, *told: RecipientReport, **fields: Any) -> None:
    """A report that came to the address that only this message had."""
    address = return_path("bounce@example.org", delivery.pk)
    find_report(people, *told, sent_to=(address,), **fields)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_forwarded_copy_that_came_back_is_no_bounce_of_the_recipient(
    people: People, sent: list[Delivery], is_kept: bool
) -> None:
    first = sent[0]
    copies = (
        (failed(FOREIGN, first.email), delivered(first.email)) if is_kept else (failed(FOREIGN),)
    )
    tell_by_mail(people, first, *copies)
    first.refresh_from_db()
    assert (suppressed(), first.bounced_at) == ({}, None)
    assert DeliveryEvent.objects.filter(kind="elsewhere").count() == 1
    assert FOREIGN not in str(DeliveryEvent.objects.values_list("details", flat=True))


@pytest.mark.parametrize("where", ["final", "original", "header", "nowhere"])
def test_any_name_of_the_recipient_in_a_report_is_believed(
    people: People, sent: list[Delivery], where: str
) -> None:
    first = sent[0]
    match where:
        case "final":
            tell_by_mail(people, first, failed(first.email.upper()))
        case "original":
            tell_by_mail(people, first, failed("p0@inside.example", first.email.upper()))
        case "header":
            told = failed("p0@inside.example")
            tell_by_mail(people, first, told, failed_recipients=(first.email,))
        case _:
            tell_by_mail(people, first, failed(""))
    assert suppressed() == {first.email: "bounced"}


@pytest.mark.parametrize(
    ("who", "is_believed"),
    [("", True), ("3f2a9c@example.com", True), ("redacted@redacted", True), (FOREIGN, False)],
)
def test_a_complaint_by_mail_is_the_recipients_unless_another_domain_is_named(
    people: People, sent: list[Delivery], who: str, is_believed: bool
) -> None:
    told = RecipientReport(address=who, verdict=Verdict.COMPLAINT)
    tell_by_mail(people, sent[0], told, kind=ReportKind.FEEDBACK)
    assert suppressed() == ({sent[0].email: "complained"} if is_believed else {})


def test_ses_is_believed_of_those_whom_it_names(topic: SesTopic, sent: list[Delivery]) -> None:
    first, second, third = sent[:3]
    for_victim = bounce(first, status="5.1.1")
    for_victim["bounce"]["bouncedRecipients"][0]["emailAddress"] = "victim@example.com"
    by_victim = complaint(second)
    by_victim["complaint"]["complainedRecipients"][0]["emailAddress"] = "victim@example.com"
    for_both = bounce(third, status="5.1.1")
    for_both["bounce"]["bouncedRecipients"].insert(0, {"emailAddress": "victim@example.com"})
    tell(topic, for_victim, by_victim, for_both)
    assert suppressed() == {third.email: "bounced"}
    tally = ResponseTally.objects.get()
    assert (tally.bounced, tally.complained) == (1, 0)


@pytest.mark.parametrize("feedback", ["not-spam", "auth-failure"])
def test_feedback_that_is_no_complaint_is_counted_nowhere(
    topic: SesTopic, sent: list[Delivery], feedback: str
) -> None:
    tell(topic, complaint(sent[0], feedback), published(sent[1], "Send"))
    sent[0].refresh_from_db()
    assert sent[0].complained_at is None
    assert not ResponseTally.objects.filter(complained__gt=0).exists()


def send_by_ses(people: People, ses_fake: SesFake, settings: Settings) -> OutboxMessage:
    """A single message to Bo."""
    settings.MAILHUB_DEFAULT_SENDER = "ses"
    settings.AWS_SES_REGION_NAME, settings.AWS_SES_REGION_ENDPOINT_URL = REGION, ses_fake.url
    settings.AWS_SES_ACCESS_KEY_ID = KEYS.access_key_id
    settings.AWS_SES_SECRET_ACCESS_KEY = KEYS.secret_access_key
    ask(people)
    send_due()
    row = OutboxMessage.objects.get()
    assert row.state == "sent"
    return row


def test_events_of_single_messages_reach_the_outbox(
    people: People, topic: SesTopic, ses_fake: SesFake, settings: Settings
) -> None:
    row = send_by_ses(people, ses_fake, settings)
    stand_in = Delivery(pk=1, provider_id=row.provider_id, email="bo@example.org")
    foreign = bounce(stand_in, diagnosticCode="550 5.1.1 no such user")
    foreign["bounce"]["bouncedRecipients"][0]["emailAddress"] = FOREIGN
    foreign["bounce"]["feedbackId"] = "another"
    tell(topic, foreign)
    row.refresh_from_db()
    assert (row.state, suppressed()) == ("sent", {})
    event = bounce(stand_in, diagnosticCode="550 5.1.1 no such user")
    tell(topic, event, event)
    row.refresh_from_db()
    assert row.state == "bounced"
    assert row.reports.count() == 2
    assert suppressed() == {"bo@example.org": "bounced"}


def test_leaving_by_a_single_message_of_ses_suppresses(
    people: People, topic: SesTopic, ses_fake: SesFake, settings: Settings
) -> None:
    row = send_by_ses(people, ses_fake, settings)
    stand_in = Delivery(pk=1, provider_id=row.provider_id, email="bo@example.org")
    goes_on = published(stand_in, "Subscription", newTopicPreferences={"unsubscribeAll": False})
    tell(topic, goes_on)
    assert suppressed() == {}
    tell(topic, published(stand_in, "Subscription", newTopicPreferences={"unsubscribeAll": True}))
    assert suppressed() == {"bo@example.org": "unsubscribed"}
    row.refresh_from_db()
    assert row.state == "sent"

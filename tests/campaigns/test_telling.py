"""What webhooks are told of the recipients of a campaign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import Event, EventWebhook
from campaigns.feedback.recording import Report, record_events
from campaigns.models import EventKind, EventSource
from mailhub.mail.bounce import Verdict
from mailhub.mail.transports.in_memory import Step
from tests.campaigns.conftest import Campaigns

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def listen(campaigns: Campaigns, *events: str) -> None:
    EventWebhook.objects.create(
        tenant=campaigns.people.tenant, url="https://x.example/", events=list(events)
    )


def told(event_type: str) -> list[dict[str, Any]]:
    return [event.data for event in Event.objects.filter(type=event_type).order_by("pk")]


def test_each_outcome_is_told_where_it_was_asked_for(campaigns: Campaigns) -> None:
    listen(campaigns, "delivery.sent", "delivery.failed")
    campaigns.add_contacts(3)
    campaigns.server.script.answer(
        Step.RCPT, "550 5.1.1 No such user", address="person1@example.com"
    )
    campaign = campaigns.finish(campaigns.create())
    sent = campaign.deliveries.get(email="person0@example.com")
    assert {each["email"] for each in told("delivery.sent")} == {
        "person0@example.com",
        "person2@example.com",
    }
    first = next(each for each in told("delivery.sent") if each["email"] == sent.email)
    assert sent.finished_at is not None
    assert first == {
        "campaign_id": campaign.campaign_id,
        "email": "person0@example.com",
        "message_id": sent.message_id,
        "at": sent.finished_at.isoformat().replace("+00:00", "Z"),
    }
    [failed] = told("delivery.failed")
    assert failed["email"] == "person1@example.com"
    assert "No such user" in failed["reply"]


def test_a_webhook_for_all_is_not_flooded(campaigns: Campaigns) -> None:
    listen(campaigns, "*")
    campaigns.add_contacts(3)
    campaign = campaigns.finish(campaigns.create())
    delivery = campaign.deliveries.earliest("pk")
    record_events(
        Report(delivery.pk, kind, NOON, EventSource.PAGE, kind)
        for kind in (EventKind.OPEN, EventKind.CLICK, EventKind.COMPLAINT)
    )
    types = set(Event.objects.values_list("type", flat=True))
    assert types == {"campaign.started", "campaign.completed", "delivery.complained"}


def test_what_came_back_is_told_in_its_words(campaigns: Campaigns) -> None:
    listen(campaigns, "*", "delivery.opened", "delivery.clicked")
    campaigns.add_contacts(1)
    campaign = campaigns.finish(campaigns.create())
    delivery = campaign.deliveries.get()
    reports = [
        Report(
            delivery.pk,
            EventKind.BOUNCE,
            NOON,
            EventSource.REPORT,
            "1",
            Verdict.HARD,
            details={"reason": "550 no such user"},
        ),
        Report(delivery.pk, EventKind.BOUNCE, NOON, EventSource.REPORT, "2", Verdict.SOFT),
        Report(delivery.pk, EventKind.UNSUBSCRIBE, NOON, EventSource.PAGE, "u"),
        Report(
            delivery.pk,
            EventKind.CLICK,
            NOON,
            EventSource.PAGE,
            "c",
            details={"link": 1, "url": "https://shop.example/"},
        ),
        Report(delivery.pk, EventKind.OPEN, NOON, EventSource.PAGE, "o"),
        Report(delivery.pk, EventKind.OPEN, NOON + timedelta(1), EventSource.PAGE, "p"),
        Report(delivery.pk, EventKind.OPEN, NOON, EventSource.PAGE, "q", is_automatic=True),
    ]
    record_events(reports)
    record_events(reports)
    [bounced] = told("delivery.bounced")
    assert (bounced["verdict"], bounced["reason"]) == ("hard", "550 no such user")
    assert bounced["at"] == "2026-05-04T12:00:00Z"
    [clicked] = told("delivery.clicked")
    assert clicked["url"] == "https://shop.example/"
    assert len(told("delivery.unsubscribed")) == 1
    assert len(told("delivery.opened")) == 2

"""What is reported of deliveries: noted once, whatever the order and number of reports."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from campaigns.feedback.recording import Report, record_event, record_events
from campaigns.models import Campaign, Delivery, DeliveryEvent, EventKind, EventSource
from campaigns.progress import measure_progress
from mailhub.mail.bounce import Verdict
from tests.campaigns.conftest import Campaigns

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def campaign(campaigns: Campaigns) -> Campaign:
    """Sent to three people."""
    campaigns.add_contacts(3)
    return campaigns.finish(campaigns.create())


def bounce_of(delivery: Delivery) -> Report:
    return Report(delivery.pk, EventKind.BOUNCE, NOON, EventSource.REPORT, "report 7", Verdict.HARD)


def responses(campaign: Campaign) -> dict[str, int]:
    """What of the tally is not zero."""
    tally = measure_progress(campaign).responses
    names = [field.name for field in tally._meta.concrete_fields if field.name != "campaign"]
    return {name: getattr(tally, name) for name in names if getattr(tally, name)}


def test_a_report_that_comes_again_changes_nothing(campaign: Campaign) -> None:
    delivery = campaign.deliveries.get(email="person1@example.com")
    news = record_event(bounce_of(delivery))
    assert news is not None and news.is_first and news.delivery.email == "person1@example.com"
    again = replace(bounce_of(delivery), at=NOON - timedelta(days=1), verdict=Verdict.SOFT)
    assert record_event(again) is None
    delivery.refresh_from_db()
    assert delivery.bounced_at == NOON
    assert responses(campaign) == {"bounced": 1}
    assert DeliveryEvent.objects.get().verdict == "hard"


def test_the_same_report_twice_in_one_batch_counts_once(campaign: Campaign) -> None:
    report = bounce_of(campaign.deliveries.earliest("pk"))
    assert len(record_events([report, report])) == 1
    assert responses(campaign) == {"bounced": 1}


def test_the_earliest_moment_is_kept_whatever_comes_first(campaign: Campaign) -> None:
    delivery = campaign.deliveries.earliest("pk")
    later, earlier = bounce_of(delivery), replace(bounce_of(delivery), key="report 8")
    earlier = replace(earlier, at=NOON - timedelta(hours=3))
    found = [record_event(later), record_event(earlier)]
    assert [each.is_first for each in found if each] == [True, False]
    delivery.refresh_from_db()
    assert delivery.bounced_at == NOON - timedelta(hours=3)
    assert responses(campaign) == {"bounced": 1}
    assert DeliveryEvent.objects.count() == 2


def test_recipients_are_counted_once_and_opens_each_time(campaign: Campaign) -> None:
    first, second, _ = campaign.deliveries.order_by("pk")
    opens = [
        Report(row.pk, EventKind.OPEN, NOON + timedelta(minutes=number), EventSource.PAGE, key)
        for number, (row, key) in enumerate([(first, "a"), (first, "b"), (second, "a")])
    ]
    program = replace(opens[0], key="c", is_automatic=True, at=NOON - timedelta(days=1))
    record_events([program, *opens])
    assert responses(campaign) == {"opened": 2, "opens": 3, "automatic_opens": 1}
    first.refresh_from_db()
    assert first.opened_at == NOON


def test_one_key_may_stand_for_several_recipients(campaign: Campaign) -> None:
    record_events(bounce_of(delivery) for delivery in campaign.deliveries.all())
    assert responses(campaign) == {"bounced": 3}


def test_a_delay_is_noted_and_marks_nothing(campaign: Campaign) -> None:
    delivery = campaign.deliveries.earliest("pk")
    news = record_event(Report(delivery.pk, EventKind.DELAY, NOON, EventSource.SES, "d"))
    assert news is not None and not news.is_first
    assert responses(campaign) == {}
    assert delivery.events.get().kind == EventKind.DELAY


def test_a_report_about_a_delivery_that_is_gone_is_passed_over(campaign: Campaign) -> None:
    delivery = campaign.deliveries.earliest("pk")
    report = bounce_of(delivery)
    delivery.delete()
    assert record_event(report) is None
    assert not DeliveryEvent.objects.exists()


def test_many_who_report_at_once_are_each_counted_once(campaign: Campaign) -> None:
    rows = list(campaign.deliveries.order_by("pk"))
    barrier = threading.Barrier(4)
    found: list[int] = []

    def tell(turned: bool) -> None:
        try:
            barrier.wait()
            reports = [bounce_of(row) for row in (reversed(rows) if turned else rows)]
            found.append(len(record_events(reports)))
        finally:
            connection.close()

    threads = [threading.Thread(target=tell, args=(bool(number % 2),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 0, 0, 3]
    assert responses(campaign) == {"bounced": 3}

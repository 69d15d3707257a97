"""`campaigns/{id}/deliveries`: one row a recipient, with what came back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.feedback.recording import Report, record_events
from campaigns.models import Campaign, EventKind, EventSource
from tests.campaigns.conftest import Campaigns

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def campaign(campaigns: Campaigns) -> Campaign:
    campaigns.add_contacts(3)
    sent = campaigns.finish(campaigns.create())
    first, second, _ = sent.deliveries.order_by("pk")
    record_events(
        [
            Report(first.pk, EventKind.OPEN, NOON, EventSource.PAGE, "o"),
            Report(second.pk, EventKind.BOUNCE, NOON, EventSource.SES, "b"),
        ]
    )
    return sent


def test_each_row_says_what_came_back(campaigns: Campaigns, campaign: Campaign) -> None:
    api = campaigns.people.viewer.api
    rows = api.get(f"/api/campaigns/{campaign.campaign_id}/deliveries").json()["deliveries"]
    assert [row["opened_at"] for row in rows] == ["2026-05-04T12:00:00.000000Z", None, None]
    assert [row["bounced_at"] for row in rows] == [None, "2026-05-04T12:00:00.000000Z", None]
    assert {row["clicked_at"] for row in rows} == {None}


def test_rows_are_narrowed_by_what_came_back(campaigns: Campaigns, campaign: Campaign) -> None:
    api = campaigns.people.viewer.api
    path = f"/api/campaigns/{campaign.campaign_id}/deliveries"
    rows = api.get(path, {"response": "bounced"}).json()["deliveries"]
    assert [row["email"] for row in rows] == ["person1@example.com"]
    assert api.get(path, {"response": "bounced", "state": "failed"}).json()["deliveries"] == []
    refused = api.get(path, {"response": "delighted"})
    assert refused.status_code == 400
    assert "response" in refused.json()["details"]["fields"]


def test_the_status_counts_what_came_back(campaigns: Campaigns, campaign: Campaign) -> None:
    answer = campaigns.people.viewer.api.get(f"/api/campaign-status/{campaign.campaign_id}").json()
    counts = {name: answer[f"{name}_count"] for name in ("opened", "bounced", "clicked")}
    assert counts == {"opened": 1, "bounced": 1, "clicked": 0}
    assert (answer["complained_count"], answer["unsubscribed_count"]) == (0, 0)


def test_the_status_is_what_the_campaign_says_and_costs_two_statements(
    campaigns: Campaigns, campaign: Campaign
) -> None:
    people, path = campaigns.people, f"/api/campaign-status/{campaign.campaign_id}"
    assert people.stranger.api.get(path).status_code == 404
    whole = people.viewer.api.get(f"/api/campaigns/{campaign.campaign_id}").json()
    assert (whole["sent_count"], whole["opened_count"]) == (3, 1)
    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            answer = people.viewer.api.get(path).json()
        assert len(asked) == 2
        assert answer == {name: whole[name] for name in answer}
        assert people.stranger.api.get(path).status_code == 404

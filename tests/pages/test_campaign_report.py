"""The report of a campaign: what came back, recipient by recipient, by domain and over time."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from campaigns.feedback.recording import Report, record_events
from campaigns.models import (
    Campaign,
    CampaignLink,
    CampaignStatus,
    Delivery,
    EventKind,
    EventSource,
    SendingPulse,
)
from mailhub.mail.bounce import Verdict
from tests.pages.conftest import Visit
from tests.pages.mailings import make_campaign
from tests.people import People


@pytest.fixture
def campaign(people: People) -> Campaign:
    """Over; of ten who got it two opened it, one of those clicked, one left, one bounced."""
    started = timezone.now() - timedelta(hours=3)
    made = make_campaign(
        people.member,
        sent=10,
        failed=2,
        skipped=1,
        status=CampaignStatus.COMPLETED,
        started_at=started,
        completed_at=started + timedelta(minutes=1),
        tracks_opens=True,
        tracks_clicks=True,
    )
    rows = list(made.deliveries.filter(state="sent").order_by("pk"))
    at = started + timedelta(minutes=30)
    record_events(
        [
            Report(rows[0].pk, EventKind.OPEN, at, EventSource.PAGE, "open 1"),
            Report(rows[1].pk, EventKind.OPEN, at, EventSource.PAGE, "open 1"),
            Report(rows[1].pk, EventKind.CLICK, at, EventSource.PAGE, "click 1 1"),
            Report(rows[2].pk, EventKind.OPEN, at, EventSource.PAGE, "x", is_automatic=True),
            Report(rows[3].pk, EventKind.UNSUBSCRIBE, at, EventSource.PAGE, "unsubscribe"),
            Report(rows[4].pk, EventKind.BOUNCE, at, EventSource.REPORT, "1", Verdict.HARD),
        ]
    )
    CampaignLink.objects.create(
        campaign=made, number=1, target="https://shop.example/<b>", clicked=1, clicks=3
    )
    slot = int(started.timestamp()) // 10
    SendingPulse.objects.create(campaign=made, slot=slot, sent=8, failed=2)
    SendingPulse.objects.create(campaign=made, slot=slot + 5, sent=2)
    return made


@pytest.fixture
def client(people: People, visit: Visit) -> Client:
    return visit(people.viewer)


def recipients(client: Client, campaign: Campaign, **query: str) -> list[str]:
    """The addresses on the page."""
    answer = client.get(f"/campaigns/{campaign.campaign_id}/recipients", query)
    assert answer.status_code == 200
    return [row.email for row in answer.context["rows"]]


def test_a_campaign_that_is_over_is_its_report(client: Client, campaign: Campaign) -> None:
    page = client.get(f"/campaigns/{campaign.campaign_id}").text
    for name, number, share in (
        ("opened", 2, "20.0 %"),
        ("clicked", 1, "10.0 %"),
        ("unsubscribed", 1, "10.0 %"),
        ("bounced", 1, "10.0 %"),
        ("complained", 0, "0.0 %"),
    ):
        assert f"?show={name}" in page
        assert f'<dd>{number} <span class="muted small">{share}</span></dd>' in page
    assert "1 open by programs" in page
    assert "https://shop.example/&lt;b&gt;" in page
    assert "Came back: the address does not exist" in page
    assert "Refused with 550 5.1.1" in page
    assert 'aria-label="Messages a second from' in page
    assert "hx-get" not in page.partition('id="content"')[2]


def test_the_chart_shows_the_pace_over_time(client: Client, campaign: Campaign) -> None:
    chart = client.get(f"/campaigns/{campaign.campaign_id}/pace").text
    assert "at most 1.0." in chart
    ends = re.findall(r"\d{1,2} [A-Z][a-z]{2} \d\d:\d\d:\d\d UTC", chart)
    assert len(set(ends)) > 1
    assert chart.count('class="bar-good"') == 2
    assert chart.count('class="bar-bad"') == 1
    assert 'height="80.000%"' in chart


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, 13),
        ({"show": "sent"}, 10),
        ({"show": "failed"}, 2),
        ({"show": "skipped"}, 1),
        ({"show": "remaining"}, 0),
        ({"show": "opened"}, 2),
        ({"show": "clicked"}, 1),
        ({"show": "bounced"}, 1),
        ({"show": "nonsense"}, 13),
        ({"q": "SENT1@"}, 1),
        ({"q": "sent", "show": "unsubscribed"}, 1),
        ({"q": "100%_"}, 0),
    ],
)
def test_recipients_are_narrowed(
    client: Client, campaign: Campaign, query: dict[str, str], expected: int
) -> None:
    assert len(recipients(client, campaign, **query)) == expected


def test_each_recipient_shows_the_servers_words_and_what_followed(
    client: Client, campaign: Campaign
) -> None:
    page = client.get(f"/campaigns/{campaign.campaign_id}/recipients").text
    assert "550 5.1.1 &lt;b&gt;No such user&lt;/b&gt; here" in page
    assert "Opened <time" in page and "Clicked <time" in page
    failed = client.get(f"/campaigns/{campaign.campaign_id}/recipients?show=failed").text
    assert "Try the failed again" not in failed


def test_who_may_decide_can_try_the_failed_again(
    people: People, visit: Visit, campaign: Campaign
) -> None:
    page = visit(people.member).get(f"/campaigns/{campaign.campaign_id}/recipients?show=failed")
    assert f"/campaigns/{campaign.campaign_id}/retry" in page.text


def test_many_recipients_come_page_by_page(people: People, client: Client) -> None:
    campaign = make_campaign(people.member, sent=120, status=CampaignStatus.COMPLETED)
    seen: list[str] = []
    query = ""
    while True:
        answer = client.get(f"/campaigns/{campaign.campaign_id}/recipients?{query}")
        seen += [row.email for row in answer.context["rows"]]
        query = answer.context["following"]
        if not query:
            break
    assert len(seen) == len(set(seen)) == 120


def test_a_page_of_recipients_costs_the_same_for_few_and_many(
    people: People, client: Client
) -> None:
    few, many = (make_campaign(people.member, sent=count) for count in (2, 60))
    costs = []
    for each in (few, many):
        with CaptureQueriesContext(connection) as captured:
            client.get(f"/campaigns/{each.campaign_id}/recipients")
        costs.append(len(captured))
    assert costs[0] == costs[1]


def test_the_file_holds_what_the_page_shows(client: Client, campaign: Campaign) -> None:
    Delivery.objects.filter(campaign=campaign, state="failed").update(reply="=HYPERLINK(1)")
    path = f"/campaigns/{campaign.campaign_id}/recipients.csv"
    answer = client.get(path, {"show": "failed"})
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [row["email"] for row in rows] == ["failed0@example.com", "failed1@example.com"]
    assert rows[0]["reply"] == "'=HYPERLINK(1)"
    everybody = list(csv.DictReader(io.StringIO(client.get(path).getvalue().decode())))
    assert len(everybody) == 13
    assert sum(bool(row["opened_at"]) for row in everybody) == 2


def test_domains_are_counted_with_the_rest_together(people: People, client: Client) -> None:
    campaign = make_campaign(people.member, status=CampaignStatus.COMPLETED)
    Delivery.objects.bulk_create(
        Delivery(campaign=campaign, email=f"p{number}@d{domain}.example", state="sent")
        for domain in range(23)
        for number in range(30 - domain)
    )
    answer = client.get(f"/campaigns/{campaign.campaign_id}/breakdown")
    domains = answer.context["domains"]
    assert [domain.name for domain in domains[:2]] == ["d0.example", "d1.example"]
    assert (domains[0].recipients, domains[0].sent) == (30, 30)
    assert (domains[-1].name, domains[-1].recipients) == ("", 10 + 9 + 8)
    assert "all others" in answer.text


def test_hours_show_people_alone(client: Client, campaign: Campaign) -> None:
    answer = client.get(f"/campaigns/{campaign.campaign_id}/breakdown")
    hours = answer.context["hours"]
    assert (sum(hour.opens for hour in hours), sum(hour.clicks for hour in hours)) == (2, 1)
    assert "2 opens and 1 click." in answer.text


def test_the_report_of_others_is_not_there(
    people: People, visit: Visit, campaign: Campaign
) -> None:
    stranger = visit(people.stranger)
    for part in ("recipients", "recipients.csv", "breakdown", "pace"):
        assert stranger.get(f"/campaigns/{campaign.campaign_id}/{part}").status_code == 404


def test_the_list_says_what_came_back_where_it_is_counted(
    people: People, campaign: Campaign, client: Client
) -> None:
    make_campaign(people.member, name="Uncounted", sent=4)
    make_campaign(people.member, name="Unsent", status=CampaignStatus.DRAFT, started_at=None)
    rows = client.get("/campaigns").text.split("<tr>")[2:]
    cells = [
        re.findall(r'data-column="(Opened|Clicked|Bounced)">(.*?)</td>', row, re.DOTALL)
        for row in rows
    ]
    plain = [[(name, re.sub(r"<.*?>", "", text)) for name, text in found] for found in cells]
    nothing = [("Opened", "–"), ("Clicked", "–")]
    assert plain == [
        [*nothing, ("Bounced", "–")],
        [*nothing, ("Bounced", "0 0.0 %")],
        [("Opened", "2 20.0 %"), ("Clicked", "1 10.0 %"), ("Bounced", "1 8.3 %")],
    ]

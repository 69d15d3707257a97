"""Totals over time, over the API, on the page and as CSV."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from campaigns.models import Campaign, Delivery
from tests.pages.conftest import Visit
from tests.pages.mailings import make_campaign
from tests.people import People

DAY = datetime(2026, 11, 10, 12, tzinfo=UTC)
PERIOD = "from=2026-11-09&to=2026-11-12"


@pytest.fixture
def mailings(people: People) -> list[Campaign]:
    """Two campaigns on three days, with what came back, and a stranger's."""
    first = make_campaign(people.member, name="=First", sent=6, failed=2, started_at=DAY)
    second = make_campaign(
        people.member, name="Second", sent=4, from_email="b@other.example", started_at=DAY
    )
    make_campaign(people.stranger, sent=9, started_at=DAY)
    Delivery.objects.update(finished_at=DAY)
    rows = list(Delivery.objects.filter(campaign=first, state="sent").order_by("pk"))
    Delivery.objects.filter(pk=rows[0].pk).update(bounced_at=DAY + timedelta(days=9))
    Delivery.objects.filter(pk=rows[1].pk).update(complained_at=DAY)
    Delivery.objects.filter(pk__in=[row.pk for row in rows[2:5]]).update(
        delivered_at=DAY, opened_at=DAY
    )
    Delivery.objects.filter(pk=rows[2].pk).update(clicked_at=DAY)
    Delivery.objects.filter(campaign=second).update(finished_at=DAY + timedelta(days=1))
    return [first, second]


def ask(people: People, query: str) -> dict[str, Any]:
    answer = people.member.api.get(f"/api/statistics?{PERIOD}{query}")
    assert answer.status_code == 200, answer.json()
    values: dict[str, Any] = answer.json()
    return values


def test_by_day_with_days_on_which_nothing_was_sent(
    people: People, mailings: list[Campaign]
) -> None:
    found = ask(people, "")
    rows = {row["key"]: row for row in found["rows"]}
    assert [(key, row["sent"], row["failed"]) for key, row in rows.items()] == [
        ("2026-11-09", 0, 0),
        ("2026-11-10", 6, 2),
        ("2026-11-11", 4, 0),
        ("2026-11-12", 0, 0),
    ]
    # What came back later counts on the day of its message.
    told = {name: rows["2026-11-10"][name] for name in ("bounced", "complained", "opened")}
    assert told == {"bounced": 1, "complained": 1, "opened": 3}
    assert rows["2026-11-10"]["bounce_rate"] == 0.125
    totals = found["totals"]
    assert (totals["sent"], totals["clicked"], totals["standing"]) == (10, 1, "good")


def test_the_page_names_the_days_on_which_something_was_sent(
    people: People, mailings: list[Campaign], visit: Visit
) -> None:
    client = visit(people.member)
    days = re.findall(r'<th scope="row">([\d-]+)', client.get(f"/statistics?{PERIOD}").text)
    assert days == ["2026-11-10", "2026-11-11"]
    Delivery.objects.filter(bounced_at__isnull=False).update(unsubscribed_at=DAY)
    page = client.get(f"/statistics?{PERIOD}").text
    assert re.findall(r'data-column="Unsubscribed">(\d)', page) == ["1", "0"]
    assert "Nothing was sent" in client.get("/statistics?from=2026-11-01&to=2026-11-02").text
    file = client.get(f"/statistics.csv?{PERIOD}").getvalue().decode()
    assert "2026-11-09" in file


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("sender", ["news@acme.example", "b@other.example"]),
        ("domain", ["acme.example", "other.example"]),
    ],
)
def test_by_who_sent(people: People, mailings: list[Campaign], by: str, keys: list[str]) -> None:
    rows = ask(people, f"&by={by}")["rows"]
    assert [row["key"] for row in rows] == keys
    assert [row["sent"] for row in rows] == [6, 4]


def test_by_campaign_in_the_page_and_its_file(
    people: People, mailings: list[Campaign], visit: Visit
) -> None:
    browser = visit(people.viewer)
    query = f"{PERIOD}&by=campaign"
    page = browser.get(f"/statistics?{query}").text
    assert "=First" in page and "Second" in page
    assert "From 2026-11-09 to 2026-11-12: 10 sent and 2 failed." in page
    answer = browser.get(f"/statistics.csv?{query}")
    lines = list(csv.reader(answer.getvalue().decode().splitlines()))
    assert lines[0][:4] == ["campaign", "sent", "failed", "delivered"]
    assert [line[:3] for line in lines[1:]] == [["'=First", "6", "2"], ["Second", "4", "0"]]


@pytest.mark.parametrize(
    "query",
    [
        "from=soon",
        "from=2026-11-12&to=2026-11-01",
        "from=2020-01-01&to=2026-01-01",
        "to=0001-01-05",
        "from=9999-12-30&to=9999-12-31",
        "by=x",
    ],
)
def test_what_makes_no_sense_is_refused(people: People, visit: Visit, query: str) -> None:
    assert people.member.api.get(f"/api/statistics?{query}").status_code == 400
    expected = 200 if query == "by=x" else 400
    assert visit(people.member).get(f"/statistics?{query}").status_code == expected


def test_a_sender_of_whom_much_comes_back_is_marked(people: People, visit: Visit) -> None:
    campaign = make_campaign(people.member, sent=1000, started_at=DAY)
    Delivery.objects.update(finished_at=DAY)
    keys = list(Delivery.objects.filter(campaign=campaign).values_list("pk", flat=True)[:51])
    Delivery.objects.filter(pk__in=keys).update(bounced_at=DAY)
    [row] = ask(people, "&by=sender")["rows"]
    assert row["standing"] == "bad"
    page = visit(people.member).get("/statistics?from=2026-11-09&to=2026-11-12&by=domain").text
    assert "too much came back" in page
    assert "5.1 % of 1,000 messages" in page

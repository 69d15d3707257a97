"""Opens and clicks: off unless asked for, people apart from programs, no way to elsewhere."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from campaigns.links.finding import count_links
from campaigns.links.tokens import Purpose, write_token
from campaigns.models import Campaign, CampaignLink, DeliveryEvent
from campaigns.progress import measure_progress
from tests.campaigns.conftest import Campaigns
from tests.campaigns.test_unsubscribing import PUBLIC, body_of, link_of, messages_of

THUNDERBIRD = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.3.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
HTML = (
    '<p><a href="https://shop.example/sale?a=1&amp;b=2">Sale</a>'
    '<a href="https://shop.example/for/{{ first_name }}">Yours</a></p>'
)


@pytest.fixture
def reader(settings: Settings) -> Client:
    """A person's mail program."""
    settings.MAILHUB_PUBLIC_URL = PUBLIC
    return Client(headers={"User-Agent": THUNDERBIRD})


@pytest.fixture
def campaign(campaigns: Campaigns, reader: Client) -> Campaign:
    """Sent an hour ago, to two people, with everything counted."""
    campaigns.add_contacts(2)
    sent = campaigns.finish(campaigns.create(html_body=HTML, tracks_opens=True, tracks_clicks=True))
    sent.deliveries.update(finished_at=timezone.now() - timedelta(hours=1))
    return sent


def paths(campaigns: Campaigns, email: str = "person0@example.com") -> dict[str, str]:
    """The image, and the links by their numbers, in what this person got."""
    html = body_of(messages_of(campaigns)[email], "html")
    found = {number: path for path, number in re.findall(r'"[^"]+(/c/[\w-]{36}-(\d+))"', html)}
    image = re.search(r'src="[^"]+(/o/[\w-]{36}\.gif)"', html)
    return {**found, "image": image[1]} if image else found


def numbers(campaign: Campaign) -> dict[str, int]:
    tally = measure_progress(campaign).responses
    names = ("opened", "opens", "automatic_opens", "clicked", "clicks", "automatic_clicks")
    return {name: getattr(tally, name) for name in names if getattr(tally, name)}


def test_nothing_is_counted_unless_it_is_asked_for(campaigns: Campaigns, reader: Client) -> None:
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create(html_body=HTML))
    html = body_of(messages_of(campaigns)["person0@example.com"], "html")
    assert "https://shop.example/sale?a=1&amp;b=2" in html
    assert "<img" not in html
    assert not CampaignLink.objects.exists()


def test_an_open_is_counted_by_its_image(
    campaigns: Campaigns, campaign: Campaign, reader: Client
) -> None:
    answer = reader.get(paths(campaigns)["image"])
    assert answer["Content-Type"] == "image/gif" and answer.content.startswith(b"GIF89a")
    assert "no-store" in answer["Cache-Control"]
    assert not answer.cookies
    assert numbers(campaign) == {"opened": 1, "opens": 1}
    assert campaign.deliveries.get(opened_at__isnull=False).email == "person0@example.com"


def test_a_click_leads_where_the_campaigns_link_does(
    campaigns: Campaigns, campaign: Campaign, reader: Client
) -> None:
    links = paths(campaigns)
    for number, target in (
        ("1", "https://shop.example/sale?a=1&b=2"),
        ("2", "https://shop.example/for/First0"),
    ):
        answer = reader.get(links[number])
        assert (answer.status_code, answer["Location"]) == (302, target)
        assert "no-store" in answer["Cache-Control"]
    assert numbers(campaign) == {"clicked": 1, "clicks": 2}
    reader.get(paths(campaigns, "person1@example.com")["1"])
    found = campaign.links.values_list("target", "clicked", "clicks")
    assert list(found) == [
        ("https://shop.example/sale?a=1&b=2", 2, 2),
        ("https://shop.example/for/{{ first_name }}", 1, 1),
    ]


def test_the_same_again_counts_once_a_minute(
    campaigns: Campaigns, campaign: Campaign, reader: Client
) -> None:
    path = paths(campaigns)["1"]
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        reader.get(path)
        with CaptureQueriesContext(connection) as again:
            reader.get(path)
        assert not any(each["sql"].startswith(("INSERT", "UPDATE")) for each in again)
        assert numbers(campaign) == {"clicked": 1, "clicks": 1}
        traveller.shift(timedelta(minutes=2))
        reader.get(path)
    assert numbers(campaign) == {"clicked": 1, "clicks": 2}
    link = campaign.links.get(number=1)
    assert (link.clicked, link.clicks) == (1, 2)


def test_a_link_called_in_a_loop_does_not_fill_the_database(
    campaigns: Campaigns, campaign: Campaign, reader: Client
) -> None:
    delivery = campaign.deliveries.get(email="person0@example.com")
    now = timezone.now()
    DeliveryEvent.objects.bulk_create(
        DeliveryEvent(
            delivery=delivery,
            campaign=campaign,
            kind="open",
            at=now,
            source="page",
            key=str(number),
        )
        for number in range(200)
    )
    assert reader.get(paths(campaigns)["image"]).status_code == 200
    assert reader.get(paths(campaigns)["1"]).status_code == 302
    assert delivery.events.count() == 200


@pytest.mark.parametrize(
    ("headers", "is_person"),
    [
        ({"User-Agent": THUNDERBIRD}, True),
        ({"User-Agent": GMAIL}, True),
        ({"User-Agent": "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy"}, True),
        ({"User-Agent": "Mozilla/5.0"}, False),
        ({"User-Agent": ""}, False),
        ({"User-Agent": "Mozilla/5.0 (compatible; Barracuda Sentinel)"}, False),
        ({"User-Agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}, False),
        ({"User-Agent": "python-requests/2.32"}, False),
        ({"User-Agent": "curl/8.5.0"}, False),
        ({"User-Agent": "Slackbot-LinkExpanding 1.0"}, False),
        ({"User-Agent": THUNDERBIRD, "Sec-Purpose": "prefetch;prerender"}, False),
        ({"User-Agent": THUNDERBIRD, "X-Purpose": "preview"}, False),
    ],
)
def test_programs_are_counted_apart_and_served_all_the_same(
    campaigns: Campaigns, campaign: Campaign, headers: dict[str, str], is_person: bool
) -> None:
    client = Client(headers=headers)
    assert client.get(paths(campaigns)["image"]).status_code == 200
    assert client.get(paths(campaigns)["1"])["Location"].startswith("https://shop.example/")
    expected = (
        {"opened": 1, "opens": 1, "clicked": 1, "clicks": 1}
        if is_person
        else {"automatic_opens": 1, "automatic_clicks": 1}
    )
    assert numbers(campaign) == expected
    link = campaign.links.get(number=1)
    assert (link.clicks, link.automatic_clicks) == ((1, 0) if is_person else (0, 1))


def test_what_comes_within_seconds_of_the_sending_is_no_person(
    campaigns: Campaigns, campaign: Campaign, reader: Client
) -> None:
    campaign.deliveries.update(finished_at=timezone.now() - timedelta(seconds=1))
    reader.get(paths(campaigns)["1"])
    campaign.deliveries.update(finished_at=None)
    reader.get(paths(campaigns)["image"])
    assert numbers(campaign) == {"automatic_opens": 1, "automatic_clicks": 1}


def test_asking_without_fetching_counts_nothing(
    campaigns: Campaigns, campaign: Campaign, reader: Client
) -> None:
    assert reader.head(paths(campaigns)["image"]).status_code == 200
    assert reader.head(paths(campaigns)["1"]).status_code == 302
    assert reader.post(paths(campaigns)["1"]).status_code == 405
    assert numbers(campaign) == {}


def test_no_token_leads_anywhere_else(
    campaigns: Campaigns, campaign: Campaign, reader: Client
) -> None:
    delivery = campaign.deliveries.earliest("pk")
    good = write_token(Purpose.CLICK, delivery.pk)
    bad = [
        good,
        f"{good}-",
        f"{good}-0",
        f"{good}-3",
        f"{good}-{'1' * 40}",
        f"{good}-²",
        f"{good}/1",
        f"{good}-https:",
        f"{'A' * 36}-1",
        write_token(Purpose.OPEN, delivery.pk) + "-1",
        write_token(Purpose.CLICK, delivery.pk + 1000) + "-1",
    ]
    for token in bad:
        assert reader.get(f"/c/{token}").status_code == 404
    for token in (good, "x" * 36, "x", "é" * 36):
        assert reader.get(f"/o/{token}.gif").status_code == 200
    assert numbers(campaign) == {}


def test_a_value_of_a_contact_cannot_change_the_host(campaigns: Campaigns, reader: Client) -> None:
    campaigns.add_contacts(1, attributes={"path": "@evil.example/", "next": "a\r\nSet-Cookie: b"})
    html = (
        '<a href="https://shop.example/{{ path }}">a</a><a href="https://shop.example{{ path }}">b'
        '</a><a href="https://shop.example/?{{ next }}">c</a><a href="{{ path }}">d</a>'
    )
    sent = campaigns.finish(campaigns.create(html_body=html, tracks_clicks=True))
    assert [link.target for link in sent.links.all()] == [
        "https://shop.example/{{ path }}",
        "https://shop.example/?{{ next }}",
    ]
    links = paths(campaigns)
    assert reader.get(links["1"])["Location"] == "https://shop.example/@evil.example/"
    assert reader.get(links["2"])["Location"] == "https://shop.example/?a%0D%0ASet-Cookie:%20b"


class TestFinding:
    @staticmethod
    def targets(html: str) -> list[str]:
        return list(count_links(html, "{{ base }}").targets)

    @pytest.mark.parametrize(
        "html",
        [
            '<a href="https://a.example/x">',
            "<A HREF='https://a.example/x'>",
            "<a class=b href=https://a.example/x>",
            '<a title="a > b" href = " https://a.example/x ">',
            '<area shape="rect" href="https://a.example/x">',
            '<a data-href="https://b.example/" href="https://a.example/x">',
            '<p>1 < 2<a href="https://a.example/x">',
        ],
    )
    def test_takes_what_a_browser_would_follow(self, html: str) -> None:
        assert self.targets(html) == ["https://a.example/x"]
        assert self.targets(count_links(html, "{{ base }}").html) == []

    @pytest.mark.parametrize(
        "html",
        [
            '<a href="mailto:ann@a.example">',
            '<a href="tel:+123">',
            '<a href="#top">',
            '<a href="/relative">',
            '<a href="javascript:alert(1)">',
            '<a href="ftp://a.example/">',
            '<a href="https:///x">',
            '<a href="https://[x/">',
            '<a href="{{ unsubscribe_url }}">',
            '<a href="https://a.example/unsubscribe?u=1">',
            '<a href="https://a.example/opt-out">',
            '<a href="https://{{ shop }}.example/">',
            '<a href="https://a.example{{ x }}">',
            '<a href="https://a.example/{% if x %}a{% endif %}">',
            '{% for i in contact.x %}<a href="https://a.example/{{ i }}">{% endfor %}',
            '<!-- <a href="https://a.example/x"> -->',
            '<style>a[href="https://a.example/x"] {}</style>',
            '<link href="https://a.example/x.css">',
            '<img src="https://a.example/x.png">',
            f'<a href="https://a.example/{"x" * 2000}">',
            '<a title="href=https://a.example/x">',
            '<a href="">',
            '<a href="https://a.example/x',
        ],
    )
    def test_leaves_alone_what_is_no_link_to_be_counted(self, html: str) -> None:
        assert count_links(html, "{{ base }}").html == html
        assert self.targets(html) == []

    def test_changes_nothing_but_the_address(self) -> None:
        html = '<p>{{ a }} &amp; <a class="b"\n href="https://a.example/?x=1&amp;y={{ c }}">d</a>'
        found = count_links(html, "{{ base }}")
        assert found.html == '<p>{{ a }} &amp; <a class="b"\n href="{{ base }}-1">d</a>'
        assert found.targets == ("https://a.example/?x=1&y={{ c }}",)

    def test_the_same_target_has_one_number(self) -> None:
        html = '<a href="https://a.example/"><a href="https://b.example/"><a href="https://a.example/">'
        found = count_links(html, "{{ base }}")
        assert found.targets == ("https://a.example/", "https://b.example/")
        assert re.findall(r"-(\d)", found.html) == ["1", "2", "1"]

    @pytest.mark.parametrize(
        "piece", ["<a href='", '<a "', "<!--", "<style>", "<a <a ", "{{ x }}<", "<a href=a "]
    )
    def test_takes_linear_time_whatever_it_is_given(self, piece: str) -> None:
        count_links(piece * (900_000 // len(piece)), "{{ base }}")

    def test_stops_at_a_thousand(self) -> None:
        html = "".join(f'<a href="https://a.example/{number}">' for number in range(1200))
        assert len(self.targets(html)) == 1000


def test_the_api_turns_it_on(campaigns: Campaigns, settings: Settings) -> None:
    settings.MAILHUB_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.MAILHUB_ALLOW_PLAINTEXT = True
    campaigns.add_contacts(1)
    call: dict[str, Any] = {
        "subject": "Hi",
        "body": HTML,
        "from_email": "a@example.org",
        "smtp_server": "127.0.0.1",
        "smtp_encryption": "none",
    }
    api = campaigns.people.member.api
    for tracking, expected in (
        (None, {"opens": False, "clicks": False}),
        ({"clicks": True}, {"opens": False, "clicks": True}),
        ({"opens": True, "clicks": True}, {"opens": True, "clicks": True}),
    ):
        answer = api.post("/api/smtp-campaign", call | ({"tracking": tracking} if tracking else {}))
        assert answer.status_code == 202, answer.json()
        shown = api.get(f"/api/campaigns/{answer.json()['campaign_id']}").json()
        assert shown["tracking"] == expected
    refused = api.post("/api/smtp-campaign", call | {"tracking": {"pixels": True}})
    assert refused.status_code == 400


def test_every_link_of_a_message_speaks_for_its_own_recipient(
    campaigns: Campaigns, campaign: Campaign, reader: Client
) -> None:
    messages = messages_of(campaigns)
    reader.post(link_of(messages["person1@example.com"]))
    reader.get(paths(campaigns, "person1@example.com")["image"])
    row = campaign.deliveries.get(email="person1@example.com")
    assert row.unsubscribed_at and row.opened_at
    other = campaign.deliveries.get(email="person0@example.com")
    assert not other.unsubscribed_at and not other.opened_at

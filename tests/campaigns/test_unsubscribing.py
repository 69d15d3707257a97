"""Leaving by the link of a message: what programs and people do with it, and what follows."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from campaigns.audience import Recipients, fix_audience
from campaigns.links.tokens import Purpose, write_token
from campaigns.models import Campaign, Delivery, DeliveryEvent, DeliveryState, EventKind
from campaigns.progress import measure_progress
from contacts.models import (
    Contact,
    ContactList,
    ContactStatus,
    ListMember,
    MemberState,
    Suppression,
)
from tests.campaigns.conftest import Campaigns

PUBLIC = "https://mail.example.org"
ONE_CLICK = "List-Unsubscribe=One-Click"
BOUNDARY = "b0undary"
MULTIPART = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
    f"One-Click\r\n--{BOUNDARY}--\r\n"
)


@pytest.fixture
def outsider(settings: Settings) -> Client:
    """A mail program, or somebody's browser: no login, and CSRF is looked after."""
    settings.MAILHUB_PUBLIC_URL = PUBLIC
    return Client(enforce_csrf_checks=True)


def messages_of(campaigns: Campaigns) -> dict[str, EmailMessage]:
    """What each recipient got, as the standard library reads it."""
    found = {}
    for message in campaigns.server.messages:
        parsed = message_from_bytes(message.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        found[message.envelope.recipients[0]] = parsed
    return found


def link_of(message: EmailMessage) -> str:
    """The path of its List-Unsubscribe."""
    found = re.fullmatch(rf"<{PUBLIC}(/u/[\w-]+)>", message["List-Unsubscribe"])
    assert found, message["List-Unsubscribe"]
    return found[1]


def body_of(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_each_message_has_its_own_way_out(campaigns: Campaigns, outsider: Client) -> None:
    campaigns.add_contacts(3)
    campaigns.finish(campaigns.create())
    messages = messages_of(campaigns)
    assert len({link_of(message) for message in messages.values()}) == 3
    for message in messages.values():
        assert message.get_all("List-Unsubscribe-Post") == [ONE_CLICK]
        assert message["List-Id"] == "<acme.example.org>"
        assert re.fullmatch(r"campaign_\w+:acme:smtp:mailhub", message["Feedback-ID"])
        assert f'href="{PUBLIC}{link_of(message)}"' in body_of(message, "html")
        assert f"{PUBLIC}{link_of(message)}" in body_of(message, "plain")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", ONE_CLICK),
        (f"multipart/form-data; boundary={BOUNDARY}", MULTIPART),
        ("application/x-www-form-urlencoded", ""),
        ("multipart/form-data; boundary=x", "--y\r\nbroken"),
    ],
)
def test_one_post_is_enough_and_a_second_changes_nothing(
    campaigns: Campaigns, outsider: Client, content_type: str, body: str
) -> None:
    campaigns.add_contacts(2)
    campaign = campaigns.finish(campaigns.create())
    path = link_of(messages_of(campaigns)["person0@example.com"])
    for _ in range(2):
        answer = outsider.post(path, body, content_type=content_type)
        assert answer.status_code == 200
        assert not answer.cookies
        assert "no-store" in answer["Cache-Control"]
    people = dict(Contact.objects.values_list("email", "status"))
    assert people["person0@example.com"] == ContactStatus.UNSUBSCRIBED
    assert people["person1@example.com"] == ContactStatus.SUBSCRIBED
    assert Suppression.objects.get().email == "person0@example.com"
    assert DeliveryEvent.objects.get().kind == EventKind.UNSUBSCRIBE
    assert campaign.deliveries.get(unsubscribed_at__isnull=False).email == "person0@example.com"
    assert measure_progress(campaign).responses.unsubscribed == 1


def test_looking_at_the_page_changes_nothing(campaigns: Campaigns, outsider: Client) -> None:
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create())
    path = link_of(messages_of(campaigns)["person0@example.com"])
    for look in (outsider.get, outsider.head):
        answer = look(path)
        assert answer.status_code == 200
        assert not answer.cookies
    assert outsider.options(path).status_code == 405
    assert "person0@example.com" in outsider.get(path).text
    assert Contact.objects.get().status == ContactStatus.SUBSCRIBED
    assert not Suppression.objects.exists()
    assert not DeliveryEvent.objects.exists()


def test_the_lists_of_the_campaign_are_left_and_no_other(
    campaigns: Campaigns, outsider: Client
) -> None:
    [person] = campaigns.add_contacts(1)
    lists = [
        ContactList.objects.create(tenant=campaigns.people.tenant, name=name)
        for name in ("News", "Offers")
    ]
    for each in lists:
        ListMember.objects.create(list=each, contact=person)
    campaigns.finish(campaigns.create(recipients=Recipients(lists=(lists[0].pk,))))
    outsider.post(link_of(messages_of(campaigns)["person0@example.com"]))
    states = dict(ListMember.objects.values_list("list__name", "state"))
    assert states == {"News": MemberState.UNSUBSCRIBED, "Offers": MemberState.SUBSCRIBED}


def test_a_campaign_that_is_being_sent_leaves_out_who_has_just_left(
    campaigns: Campaigns, outsider: Client
) -> None:
    campaigns.add_contacts(3)
    campaign = campaigns.create()
    assert fix_audience(campaign)
    delivery = campaign.deliveries.get(email="person1@example.com")
    token = write_token(Purpose.LEAVE, delivery.pk, delivery.contact_id or 0)
    assert outsider.post(f"/u/{token}").status_code == 200
    campaigns.finish(campaign)
    assert set(campaigns.received()) == {"person0@example.com", "person2@example.com"}
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SKIPPED


def test_somebody_without_a_contact_is_written_to_no_more(
    campaigns: Campaigns, outsider: Client
) -> None:
    to_bob = Recipients(emails=("bob@example.com",))
    campaigns.finish(campaigns.create(recipients=to_bob))
    outsider.post(link_of(messages_of(campaigns)["bob@example.com"]))
    campaigns.finish(campaigns.create(recipients=to_bob))
    assert campaigns.received() == {"bob@example.com": 1}


def test_the_link_works_when_the_campaign_is_long_gone(
    campaigns: Campaigns, outsider: Client
) -> None:
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create())
    path = link_of(messages_of(campaigns)["person0@example.com"])
    Campaign.objects.all().delete()
    assert outsider.post(path).status_code == 200
    assert Contact.objects.get().status == ContactStatus.UNSUBSCRIBED
    Contact.objects.all().delete()
    assert outsider.post(path).status_code == 200
    assert "Nothing to unsubscribe from" in outsider.get(path).text


def test_a_link_that_is_not_ours_is_none(campaigns: Campaigns, outsider: Client) -> None:
    campaigns.add_contacts(1)
    campaign = campaigns.finish(campaigns.create())
    delivery = campaign.deliveries.get()
    good = write_token(Purpose.LEAVE, delivery.pk, delivery.contact_id or 0)
    bad = [
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        "B" + good[1:],
        good[:-4],
        good + "AAAA",
        "x" * 36,
        "é" * 36,
        write_token(Purpose.OPEN, delivery.pk, delivery.contact_id or 0),
    ]
    for token in bad:
        assert outsider.post(reverse("unsubscribe", args=[token])).status_code == 404
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("bodies", "has_footer"),
    [
        ({"html_body": "<p>Hi</p>"}, {"html": True, "plain": True}),
        (
            {"html_body": '<p>Hi <a href="{{ unsubscribe_url }}">bye</a></p>'},
            {"html": False, "plain": False},
        ),
        (
            {"html_body": "<p>{{unsubscribe_url}}</p>", "text_body": "Hi"},
            {"html": False, "plain": True},
        ),
        (
            {"html_body": "<p>unsubscribe_url</p>", "text_body": "Bye: {{ unsubscribe_url }}"},
            {"html": True, "plain": False},
        ),
        ({"html_body": "", "text_body": "Hi"}, {"plain": True}),
    ],
)
def test_a_body_without_a_way_out_gets_one(
    campaigns: Campaigns, outsider: Client, bodies: dict[str, str], has_footer: dict[str, bool]
) -> None:
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create(**bodies))
    [message] = messages_of(campaigns).values()
    for kind, expected in has_footer.items():
        body = body_of(message, kind)
        assert ("no longer want" in body) == expected
        assert body.count(f"{PUBLIC}{link_of(message)}") == 1


def test_the_footer_stands_inside_the_page(campaigns: Campaigns, outsider: Client) -> None:
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create(html_body="<html><BODY>Hi</BODY ></html>"))
    [message] = messages_of(campaigns).values()
    html = body_of(message, "html")
    assert html.index("no longer want") < html.index("</BODY >")


def test_preferences_lead_to_the_persons_own_page(campaigns: Campaigns, outsider: Client) -> None:
    campaigns.add_contacts(1)
    to_both = Recipients(
        emails=("person0@example.com", "bob@example.com"),
    )
    campaigns.finish(campaigns.create(html_body="<p>{{ preferences_url }}</p>", recipients=to_both))
    messages = messages_of(campaigns)
    found = re.search(r"/preferences/[\w.-]+", body_of(messages["person0@example.com"], "html"))
    assert found
    assert "person0@example.com" in outsider.get(found[0]).text
    # Who is no contact has no preferences: the way out is all that there is to choose.
    bare = messages["bob@example.com"]
    assert body_of(bare, "html").count(link_of(bare)) == 2


def test_an_attribute_of_the_same_name_does_not_take_the_links_place(
    campaigns: Campaigns, outsider: Client
) -> None:
    campaigns.add_contacts(1, attributes={"unsubscribe_url": "https://evil.example/"})
    campaigns.finish(campaigns.create(html_body="<p>{{ unsubscribe_url }}</p>"))
    [message] = messages_of(campaigns).values()
    assert link_of(message) in body_of(message, "html")
    assert "evil.example" not in body_of(message, "html")


def test_a_campaign_with_a_way_out_of_its_own_keeps_it(
    campaigns: Campaigns, outsider: Client
) -> None:
    campaigns.add_contacts(1)
    own = "<https://shop.example/bye>"
    campaigns.finish(campaigns.create(headers={"List-Unsubscribe": own}))
    [message] = messages_of(campaigns).values()
    assert message.get_all("List-Unsubscribe") == [own]
    assert message["List-Unsubscribe-Post"] is None


def test_one_click_without_a_way_out_beside_it_is_refused(campaigns: Campaigns) -> None:
    post = {"list-unsubscribe-post": ONE_CLICK}
    api = campaigns.people.member.api
    refused = api.post("/api/campaigns", {"headers": post})
    assert refused.status_code == 400
    assert "belongs to a List-Unsubscribe" in refused.json()["details"]["fields"]["headers"][0]
    both = {**post, "List-Unsubscribe": "<https://shop.example/bye>"}
    assert api.post("/api/campaigns", {"headers": both}).status_code == 201


def test_one_click_is_promised_over_https_alone(
    campaigns: Campaigns, outsider: Client, settings: Settings
) -> None:
    settings.MAILHUB_PUBLIC_URL = "http://localhost:8000"
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create())
    [message] = messages_of(campaigns).values()
    assert message["List-Unsubscribe"].startswith("<http://localhost:8000/u/")
    assert message["List-Unsubscribe-Post"] is None


def test_a_person_who_comes_back_may_leave_again(campaigns: Campaigns, outsider: Client) -> None:
    campaigns.add_contacts(1)
    campaigns.finish(campaigns.create())
    path = link_of(messages_of(campaigns)["person0@example.com"])
    found = re.search(r"/preferences/[\w.-]+", outsider.post(path).text)
    assert found
    outsider.post(found[0])
    assert Contact.objects.get().status == ContactStatus.SUBSCRIBED
    outsider.post(path)
    assert Contact.objects.get().status == ContactStatus.UNSUBSCRIBED
    assert Suppression.objects.count() == 1
    assert Delivery.objects.get().events.count() == 1

"""A campaign from the first word to its start: written, looked at, tried, scheduled, copied."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from campaigns.models import Campaign, CampaignStatus, PauseReason
from campaigns.tasks import revive_campaigns
from contacts.models import Contact, ContactList, ListMember, MemberState, Segment, Suppression
from tests.campaigns.conftest import Campaigns
from tests.pages.conftest import log_in
from tests.people import People
from tests.servers.smtp import SmtpReceiver

CAMPAIGN_AT_ONCE = {
    "subject": "Hi",
    "body": "<p>Hi</p>",
    "from_email": "shop@example.org",
    "smtp_server": "127.0.0.1",
    "smtp_port": 2525,
    "smtp_encryption": "none",
}
FILE = {"filename": "terms.txt", "content": base64.b64encode(b"terms").decode()}


def draft(people: People, **fields: Any) -> dict[str, Any]:
    values = {
        "subject": "Hi {{ first_name }}",
        "body": "<p>Dear {{ first_name }}</p>",
        "from_email": "shop@example.org",
        "smtp_server": "127.0.0.1",
        "smtp_port": 2525,
        "smtp_encryption": "none",
        "audience": {"everyone": True},
        **fields,
    }
    answer = people.member.api.post("/api/campaigns", values)
    assert answer.status_code == 201, answer.json()
    return dict(answer.json())


def path(campaign: dict[str, Any], verb: str = "") -> str:
    return f"/api/campaigns/{campaign['campaign_id']}" + (f"/{verb}" if verb else "")


def test_a_draft_is_written_bit_by_bit_and_started(campaigns: Campaigns) -> None:
    campaigns.add_contacts(3)
    api = campaigns.people.member.api
    made = api.post("/api/campaigns", {}).json()
    assert (made["status"], made["campaign_name"]) == ("draft", "Untitled")
    nobody = api.post(path(made, "start"))
    assert nobody.status_code == 400
    for given, missing in (
        ({}, "subject"),
        ({"subject": "Hi {{ first_name }}"}, "body"),
        ({"body": "<p>Dear {{ first_name }}</p>"}, "from_email"),
        ({"from_email": "shop@example.org"}, "no_mail_server"),
        (
            {"smtp_server": "127.0.0.1", "smtp_port": 2525, "smtp_encryption": "none"},
            "no_recipients",
        ),
    ):
        assert api.patch(path(made), given).status_code == 200
        refused = api.post(path(made, "start")).json()
        assert missing in (refused["error"], *refused["details"].get("fields", ())), refused
    everyone = api.patch(path(made), {"audience": {"everyone": True}}).json()
    assert everyone["audience"]["everyone"] is True
    started = api.post(path(made, "start")).json()
    assert (started["status"], started["total_contacts"]) == ("pending", 3)
    assert api.patch(path(made), {"subject": "Too late"}).status_code == 409
    campaign = campaigns.finish(Campaign.objects.get())
    assert campaign.status == CampaignStatus.COMPLETED
    assert sum(campaigns.received().values()) == 3


def test_a_draft_never_sends_by_itself(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    made = draft(campaigns.people)
    Campaign.objects.update(scheduled_at=timezone.now() - timedelta(days=1))
    revive_campaigns()
    assert not campaigns.work()
    assert campaigns.people.member.api.get(path(made)).json()["status"] == "draft"


def test_a_time_is_read_from_the_clocks_of_its_zone(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    made = draft(campaigns.people, scheduled_at="2031-07-01T09:30:00", timezone="Europe/Zurich")
    assert made["scheduled_at"] == "2031-07-01T07:30:00.000000Z"
    assert made["timezone"] == "Europe/Zurich"
    winter = api.patch(path(made), {"scheduled_at": "2031-12-01T09:30"}).json()
    assert winter["scheduled_at"] == "2031-12-01T08:30:00.000000Z"
    gap = api.patch(path(made), {"scheduled_at": "2031-03-30T02:30"})
    assert "put forward" in gap.json()["message"]
    for name in ("Mars/Base", "../../etc/passwd"):
        unknown = api.patch(path(made), {"timezone": name})
        assert unknown.json()["details"]["fields"]["timezone"]
    started = api.post(path(made, "start")).json()
    assert started["status"] == "scheduled"
    assert parse_datetime(started["scheduled_at"])
    bare = api.patch(path(made), {"body": ""})
    assert bare.status_code == 400
    assert api.post(path(made, "unschedule")).json()["status"] == "draft"
    now = api.post(path(made, "start"), {"now": True}).json()
    assert now["status"] == "pending"


@pytest.mark.parametrize(
    ("moment", "zone"),
    [
        ("9999-12-31T23:59:59", "America/New_York"),
        ("0001-01-01T00:00:00", "Asia/Tokyo"),
        ("9999-12-31T23:59:59-05:00", "UTC"),
        ("0001-01-01T00:00:00+14:00", "UTC"),
        ("9999-12-31T23:00:00Z", "Asia/Tokyo"),
    ],
)
def test_a_time_at_the_end_of_the_calendar_is_refused(
    campaigns: Campaigns, moment: str, zone: str
) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    given = {"scheduled_at": moment, "timezone": zone}
    whole = {"subject": "Hi", "body": "Hi", "from_email": "shop@example.org", **given}
    for answer in (
        api.patch(path(draft(campaigns.people)), given),
        api.post("/api/campaigns", given),
        api.post("/api/smtp-campaign", {"smtp_server": "smtp.example.org", **whole}),
    ):
        assert answer.status_code == 400
        assert "Give a day" in answer.json()["details"]["fields"]["scheduled_at"][0]


def test_a_time_that_has_passed_is_refused_beyond_what_clocks_differ(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    made = draft(campaigns.people, scheduled_at=_from_now(hours=1))
    whole = {"subject": "Hi", "body": "Hi", "from_email": "shop@example.org"}
    new = {"smtp_server": "127.0.0.1", "smtp_port": 2525, "smtp_encryption": "none", **whole}
    past = {"scheduled_at": _from_now(hours=-1)}
    for answer in (
        api.post("/api/smtp-campaign", {**new, **past}),
        api.patch(path(made), past),
        api.post("/api/campaigns", past),
    ):
        assert answer.status_code == 400
        assert answer.json()["details"]["fields"]["scheduled_at"] == [
            "That time has passed already."
        ]
    assert api.post(path(made, "start")).json()["status"] == "scheduled"
    assert api.patch(path(made), past).status_code == 400
    just_now = {"scheduled_at": _from_now(minutes=-2)}
    sent = api.post("/api/smtp-campaign", {**new, **just_now})
    assert (sent.status_code, sent.json()["status"]) == (202, "pending")


@pytest.mark.parametrize("body", ["{{ x", "<p>Dear</p>\n<p>{% if company %}</p>"])
def test_a_mistake_in_a_text_is_shown_where_it_was_written(campaigns: Campaigns, body: str) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    given = {"subject": "Hi", "body": body, "from_email": "shop@example.org"}
    wanted = api.post("/api/campaigns", given)
    assert wanted.status_code == 400
    server = {"smtp_server": "127.0.0.1", "smtp_port": 2525, "smtp_encryption": "none"}
    answer = api.post("/api/smtp-campaign", {**given, **server})
    assert answer.status_code == 400
    assert answer.json()["message"] == wanted.json()["message"]
    assert answer.json()["details"] == wanted.json()["details"]


def test_what_makes_no_sense_for_a_draft_is_refused(campaigns: Campaigns) -> None:
    people = campaigns.people
    made = draft(people)
    refused = people.member.api.post(path(made, "retry-failed"), {})
    assert (refused.status_code, refused.json()["error"]) == (409, "campaign_status")
    people.member.api.patch(path(made), {"from_email": ""})
    for verb, given in (("preview", {}), ("test", {"to": ["a@example.com"]})):
        nobody = people.member.api.post(path(made, verb), given)
        assert (nobody.status_code, list(nobody.json()["details"]["fields"])) == (
            400,
            ["from_email"],
        )
    account = people.connect_account(people.member, email_address="one@acme.example")
    twice = [{"account_id": str(account.pk)}, {"account_id": str(account.pk), "weight": 3}]
    answer = people.member.api.patch(path(made), {"senders": twice})
    assert answer.status_code == 400
    assert answer.json()["details"]["fields"]["senders"]


def _from_now(**parts: float) -> str:
    return (timezone.now() + timedelta(**parts)).isoformat()


def test_a_template_gives_texts_and_files(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    template = api.post(
        "/api/templates",
        {"name": "T", "subject": "From it", "html": "<p>Kept</p>", "files": [FILE]},
    ).json()
    given = {"template_id": template["id"], "subject": "My own"}
    made = api.post("/api/campaigns", given).json()
    assert (made["subject"], made["body"]) == ("My own", "<p>Kept</p>")
    assert [each["filename"] for each in made["attachments"]] == ["terms.txt"]
    api.delete(f"/api/templates/{template['id']}")
    kept = api.get(path(made)).json()
    assert (kept["template_id"], kept["body"]) == (None, "<p>Kept</p>")


def test_a_copy_is_a_draft_that_says_the_same(campaigns: Campaigns) -> None:
    campaigns.add_contacts(2)
    api = campaigns.people.member.api
    made = draft(campaigns.people, attachments=[FILE], rate_limit={"per_second": 50})
    api.post(path(made, "start"))
    campaigns.finish(Campaign.objects.get())
    answer = api.post(path(made, "duplicate"))
    copied = answer.json()
    assert (answer.status_code, copied["status"]) == (201, "draft")
    assert copied["campaign_name"] == f"Copy of {made['campaign_name']}"
    assert copied["campaign_id"] != made["campaign_id"]
    assert (copied["started_at"], copied["sent_count"]) == (None, 0)
    for name in ("body", "audience", "rate_limit", "smtp_server"):
        assert copied[name] == made[name], name
    assert [each["filename"] for each in copied["attachments"]] == ["terms.txt"]
    assert api.post(path(copied, "start")).json()["status"] == "pending"


def test_only_what_was_never_sent_can_be_deleted(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    made = draft(campaigns.people)
    assert api.delete(path(made)).status_code == 204
    assert api.get(path(made)).status_code == 404
    sent = draft(campaigns.people)
    api.post(path(sent, "start"))
    campaigns.finish(Campaign.objects.get())
    kept = api.delete(path(sent))
    assert (kept.status_code, kept.json()["error"]) == (409, "campaign_kept")


def test_a_preview_shows_the_message_as_it_goes_over_the_wire(campaigns: Campaigns) -> None:
    [contact] = campaigns.add_contacts(1)
    made = draft(campaigns.people, body="<style>p{color:red}</style><p>Dear {{ first_name }}</p>")
    shown = campaigns.people.member.api.post(path(made, "preview"), {"contact": contact.email})
    letter = shown.json()
    assert letter["subject"] == "Hi First0"
    assert '<p style="color: red;">Dear First0</p>' in letter["html"]
    assert "Dear First0" in letter["text"]
    assert "From: shop@example.org" in letter["raw"]
    assert letter["size"] == len(letter["raw"])


def test_a_test_is_sent_and_counted_nowhere(campaigns: Campaigns, start_smtp_receiver: Any) -> None:
    receiver: SmtpReceiver = start_smtp_receiver()
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    made = draft(
        campaigns.people,
        smtp_port=receiver.port,
        body='<p>Hi <a href="https://shop.example/">there</a></p>',
        tracking={"opens": True, "clicks": True},
    )
    answer = api.post(path(made, "test"), {"to": ["me@example.org", "me@example.org"]})
    assert answer.json()["sent_to"] == ["me@example.org"]
    [message] = receiver.messages
    assert b"Subject: [Test] Hi First0" in message.content
    assert b'href="https://shop.example/"' in message.content.replace(b"=3D", b"=")
    after = api.get(path(made)).json()
    assert (after["status"], after["sent_count"]) == ("draft", 0)
    assert not Contact.objects.exclude(email_count=0).exists()


def test_an_audience_is_counted_with_who_is_left_out(campaigns: Campaigns) -> None:
    people = campaigns.people
    contacts = campaigns.add_contacts(10)
    news = ContactList.objects.create(tenant=people.tenant, name="News")
    offers = ContactList.objects.create(tenant=people.tenant, name="Offers")
    for contact in contacts[:6]:
        ListMember.objects.create(list=news, contact=contact)
    for contact in contacts[4:7]:
        ListMember.objects.create(list=offers, contact=contact)
    ListMember.objects.create(list=news, contact=contacts[9], state=MemberState.UNSUBSCRIBED)
    for key in (7, 8):
        ListMember.objects.create(list=news, contact=contacts[key], state=MemberState.PENDING)
    Contact.objects.filter(pk=contacts[0].pk).update(status="unsubscribed")
    for email in (contacts[1].email, "blocked@example.net"):
        Suppression.objects.create(tenant=people.tenant, email=email)
    asked = {
        "list_ids": [news.pk, offers.pk],
        "emails": [
            contacts[2].email,
            contacts[7].email,
            "new@example.net",
            "NEW@example.net",
            "blocked@example.net",
        ],
    }
    counted = people.member.api.post("/api/campaigns/audience", asked).json()
    assert counted == {
        "total": 7,
        "left_out": {"suppressed": 2, "unsubscribed": 2, "pending": 1, "duplicate": 4},
    }
    made = draft(people, audience=asked)
    people.member.api.post(path(made, "start"))
    campaigns.finish(Campaign.objects.get())
    assert sum(campaigns.received().values()) == counted["total"]
    nobody = people.member.api.post("/api/campaigns/audience", {}).json()
    assert nobody["total"] == 0
    everyone = people.member.api.post("/api/campaigns/audience", {"everyone": True}).json()
    assert everyone["total"] == 8


def test_an_audience_says_how_many_have_not_confirmed(campaigns: Campaigns) -> None:
    api = campaigns.people.member.api
    [contact] = campaigns.add_contacts(1)
    news = ContactList.objects.create(tenant=campaigns.people.tenant, name="News")
    ListMember.objects.create(list=news, contact=contact, state=MemberState.PENDING)
    counted = api.post("/api/campaigns/audience", {"list_ids": [news.pk]}).json()
    assert (counted["total"], counted["left_out"]["pending"]) == (0, 1)
    made = draft(campaigns.people, audience={"list_ids": [news.pk]})
    page = log_in(campaigns.people.member).get(f"/campaigns/{made['campaign_id']}/compose")
    assert "1 left out: not confirmed yet" in page.content.decode()
    letter = api.post(path(made, "preview"), {}).json()
    assert letter["checks"][0] == {
        "standing": "bad",
        "message": "There is nobody to send it to.",
    }


@pytest.mark.parametrize("what", ["list", "segment", "list of a segment"])
def test_a_draft_whose_audience_is_gone_does_not_start(campaigns: Campaigns, what: str) -> None:
    people = campaigns.people
    excluded, *_ = campaigns.add_contacts(3)
    news = ContactList.objects.create(tenant=people.tenant, name="News")
    ListMember.objects.create(list=news, contact=excluded, state=MemberState.SUBSCRIBED)
    strangers = Segment.objects.create(
        tenant=people.tenant, name="Strangers", rule={"not": {"list": news.pk}}
    )
    audience = {"list_ids": [news.pk]} if what == "list" else {"segments": [strangers.pk]}
    made = draft(people, audience=audience)
    (strangers if what == "segment" else news).delete()
    refused = people.member.api.post(path(made, "start"))
    assert (refused.status_code, refused.json()["error"]) == (400, "audience_gone")
    assert people.member.api.get(path(made)).json()["status"] == "draft"
    page = log_in(people.member).get(f"/campaigns/{made['campaign_id']}/compose")
    shown = page.content.decode()
    assert refused.json()["message"] in shown
    if what == "list of a segment":
        counted = people.member.api.post("/api/campaigns/audience", audience)
        assert (counted.status_code, counted.json()["error"]) == (400, "audience_gone")
        at_once = {**CAMPAIGN_AT_ONCE, "segment": strangers.pk}
        refused = people.member.api.post("/api/smtp-campaign", at_once)
        assert (refused.status_code, refused.json()["error"]) == (400, "audience_gone")


def test_one_paused_by_a_person_says_so(campaigns: Campaigns) -> None:
    campaigns.add_contacts(1)
    api = campaigns.people.member.api
    made = draft(campaigns.people)
    api.post(path(made, "start"))
    api.post(path(made, "pause"))
    assert api.get(path(made)).json()["pause_reason"] == PauseReason.PERSON
    api.post(path(made, "resume"))
    assert api.get(path(made)).json()["pause_reason"] == ""

"""The composer and the templates' pages as they work without scripts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from campaigns.models import Campaign, CampaignStatus, SenderShare, SubjectTest, Template
from contacts.models import Contact, ContactList, ListMember
from tests.pages.conftest import Visit
from tests.people import People
from tests.servers.smtp import SmtpReceiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def crowd(people: People) -> People:
    news = ContactList.objects.create(tenant=people.tenant, name="News")
    for name in ("ann", "bob"):
        contact = Contact.objects.create(
            tenant=people.tenant,
            email=f"{name}@example.com",
            first_name=name.capitalize(),
            attributes={"city": "Bern"},
        )
        ListMember.objects.create(list=news, contact=contact)
    return people


@pytest.fixture
def own_server(start_smtp_receiver: Any, settings: Settings) -> SmtpReceiver:
    receiver: SmtpReceiver = start_smtp_receiver()
    settings.SMTP_SERVER, settings.SMTP_PORT = "127.0.0.1", receiver.port
    settings.SMTP_ENCRYPTION, settings.SMTP_USERNAME = "none", ""
    return receiver


def begin(client: Client) -> tuple[Campaign, str]:
    answer = client.post("/campaigns/new")
    campaign = Campaign.objects.latest("pk")
    assert answer["Location"] == f"/campaigns/{campaign.campaign_id}/compose"
    return campaign, answer["Location"]


def typed(**fields: Any) -> dict[str, Any]:
    return {
        "name": "Spring",
        "sender": "default",
        "from_email": "Acme <news@acme.example>",
        "subject": "Hi {{ first_name }}",
        "html_body": "<p>Dear {{ first_name }}</p>",
        "timezone": "Europe/Zurich",
        "failure_limit": "20",
        **fields,
    }


def test_a_campaign_is_written_tried_and_sent(
    crowd: People, visit: Visit, own_server: SmtpReceiver
) -> None:
    client = visit(crowd.member)
    campaign, address = begin(client)
    news = ContactList.objects.get()
    fields = typed(list=[news.pk], emails="new@example.net, nonsense\nNEW@example.net")
    assert client.post(address, {**fields, "act": "save"}).status_code == 302
    page = client.get(address).text
    assert "<strong>3 recipients</strong>" in page
    assert "no valid address (nonsense)" in page
    assert "nonsense</textarea>" in page
    tried = client.post(address, {**fields, "act": "test", "test_to": "me@example.org"})
    assert tried.status_code == 302
    assert b"Subject: [Test] Hi Bob" in own_server.messages[0].content
    asked = client.post(address, {**fields, "act": "send"}).text
    assert "3 recipients" in asked
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.DRAFT
    client.post(f"/campaigns/{campaign.campaign_id}/send")
    campaign.refresh_from_db()
    assert (campaign.status, campaign.total_contacts) == (CampaignStatus.PENDING, 3)
    assert client.get(address)["Location"] == f"/campaigns/{campaign.campaign_id}"


def test_what_is_wrong_is_said_and_what_was_typed_stays(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    campaign, address = begin(client)
    refused = client.post(address, typed(html_body="<p>\n{% if x %}"))
    assert refused.status_code == 400
    assert "line 2, column" in refused.text
    assert "{% if x %}" in refused.text
    for wrong, words in (
        ({"rate_per_hour": "many"}, "whole number"),
        ({"from_email": "nobody"}, "note-bad"),
        ({"timezone": "Mars"}, "time zone"),
        ({"list": ["987654"]}, "note-bad"),
        ({"act": "schedule"}, "Give a day and a time"),
        ({"act": "send"}, "note-bad"),
        ({"act": "test", "test_to": "x"}, "Test to"),
    ):
        answer = client.post(address, typed(**wrong))
        assert (answer.status_code, words in answer.text) == (400, True), wrong
        assert "Dear {{ first_name }}" in answer.text
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.DRAFT


def test_a_preview_is_a_page_that_can_do_nothing(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    _, address = begin(client)
    body = "<script>alert(1)</script><style>p{color:red}</style><p>Dear {{ first_name }}</p>"
    fields = typed(html_body=body, contact="ann@example.com", act="show")
    shown = client.post(address, {**fields, "view": "html"})
    assert '<p style="color: red;">Dear Ann</p>' in shown.text
    assert "sandbox" in shown["Content-Security-Policy"]
    assert "script-src" not in shown["Content-Security-Policy"]
    assert "default-src 'none'" in shown["Content-Security-Policy"]
    assert "<pre>Dear Ann" in client.post(address, {**fields, "view": "text"}).text
    source = client.post(address, {**fields, "view": "source"}).text
    assert "MIME-Version: 1.0" in source
    assert "From: Acme &lt;news@acme.example&gt;" in source
    unknown = client.post(address, {**fields, "html_body": "{{ frist_name }}"})
    assert "frist_name" in unknown.text


def test_a_link_that_is_no_address_is_named(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    campaign, address = begin(client)
    body = '<p><a href="http://[bad">Here</a> <a href="http://shop.example">there</a></p>'
    client.post(address, typed(html_body=body))
    for shown in (client.get(address), client.post(address, typed(html_body=body, act="checks"))):
        assert shown.status_code == 200
        assert "A link does not work in mail: http://[bad" in shown.text
        assert "A link is not encrypted: http://shop.example" in shown.text
    own = f"/api/campaigns/{campaign.campaign_id}"
    changed = crowd.member.api.patch(own, {"body": body, "tracking": {"clicks": True}})
    assert (changed.status_code, changed.json()["body"]) == (200, body)
    assert "[bad" in crowd.member.api.post(f"{own}/preview").json()["html"]


def test_files_are_kept_shown_and_removed(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    campaign, address = begin(client)
    logo = SimpleUploadedFile("our logo.png", b"\x89PNG", "image/png")
    body = '<img src="cid:our-logo.png" alt="Us">'
    client.post(address, typed(html_body=body, files=[logo]))
    file = campaign.attachments.get()
    assert file.content_id == "our-logo.png"
    shown = client.post(address, typed(html_body=body, act="show", view="html")).text
    assert "data:image/png;base64," in shown
    client.post(address, typed(html_body=body, act=f"detach:{file.pk}"))
    assert not campaign.attachments.exists()


def test_a_picture_without_its_file_and_a_file_without_its_place_are_named(
    crowd: People, visit: Visit
) -> None:
    client = visit(crowd.member)
    campaign, address = begin(client)
    logo = SimpleUploadedFile("our logo.png", b"\x89PNG", "image/png")
    client.post(address, typed(html_body="<p>Hi, all by cid: or not</p>", files=[logo]))
    assert "our logo.png goes along, and the HTML shows it nowhere" in client.get(address).text

    def checks(body: str) -> str:
        return client.post(address, typed(html_body=body, act="checks")).text

    for body in (
        '<img src="cid:our%2Dlogo.png" alt="Us">',
        "<td background='cid:our-logo.png'>x</td>",
        "<style>td{background:url(cid:our-logo.png)}</style><p>x</p>",
        '<img src="cid:{{ attributes.logo | default: "our-logo.png" }}" alt="Us">',
    ):
        assert "cid:" not in checks(body), body
    shown = checks('<img src="cid:other.png" alt="Us">')
    assert "shows cid:other.png, and no file goes with it by that name" in shown
    assert "our logo.png goes along" in shown
    answer = crowd.member.api.post(f"/api/campaigns/{campaign.campaign_id}/preview")
    told = [(each["standing"], each["message"]) for each in answer.json()["checks"]]
    assert ("bad", "The HTML shows cid:other.png, and no file goes with it by that name.") in told
    assert any(each[0] == "warning" and "our logo.png" in each[1] for each in told)


def test_a_way_out_of_its_own_is_named_among_the_checks(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    campaign, address = begin(client)
    client.post(address, typed())
    words = "own List-Unsubscribe is sent in place of mailhub"
    assert words not in client.get(address).text
    own = f"/api/campaigns/{campaign.campaign_id}"
    headers = {"list-unsubscribe": "<https://shop.example/bye>"}
    assert crowd.member.api.patch(own, {"headers": headers}).status_code == 200
    assert words in client.get(address).text
    [told] = [
        each
        for each in crowd.member.api.post(f"{own}/preview").json()["checks"]
        if words in each["message"]
    ]
    assert told["standing"] == "warning"


def test_it_is_scheduled_and_taken_back(
    crowd: People, visit: Visit, own_server: SmtpReceiver
) -> None:
    client = visit(crowd.member)
    campaign, address = begin(client)
    fields = typed(everyone="on", scheduled_at="2031-07-01T09:30")
    client.post(address, {**fields, "act": "schedule"})
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.SCHEDULED
    assert campaign.scheduled_at is not None
    assert campaign.scheduled_at.isoformat() == "2031-07-01T07:30:00+00:00"
    assert 'value="2031-07-01T09:30"' in client.get(address).text
    past = (timezone.now() - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    client.post(address, {**fields, "act": "unschedule"})
    campaign.refresh_from_db()
    assert campaign.status == CampaignStatus.DRAFT
    late = client.post(address, {**fields, "scheduled_at": past, "act": "schedule"})
    assert "passed already" in late.text


def test_several_accounts_share_it(crowd: People, visit: Visit) -> None:
    first = crowd.connect_account(crowd.member, email_address="one@acme.example")
    second = crowd.connect_account(crowd.member, email_address="two@acme.example")
    client = visit(crowd.member)
    campaign, address = begin(client)
    shares = {f"weight:{first.pk}": "3", f"weight:{second.pk}": "1"}
    client.post(address, typed(sender="several", **shares))
    rows = SenderShare.objects.filter(campaign=campaign)
    assert dict(rows.values_list("account__email_address", "weight")) == {
        "one@acme.example": 3,
        "two@acme.example": 1,
    }
    client.post(address, typed(sender=f"account:{first.pk}"))
    campaign.refresh_from_db()
    assert (campaign.account, campaign.senders.count()) == (first, 0)


def test_two_subjects_are_tried(crowd: People, visit: Visit, own_server: SmtpReceiver) -> None:
    client = visit(crowd.member)
    campaign, address = begin(client)
    test = {"subject_b": "Or this", "test_percent": "50", "test_hours": "2"}
    uncounted = client.post(address, typed(everyone="on", act="send", **test))
    assert "opens that are not counted" in uncounted.text
    client.post(address, typed(everyone="on", tracks_opens="on", **test))
    kept = SubjectTest.objects.get(campaign=campaign)
    assert (kept.subject_b, kept.percent, kept.wait_minutes) == ("Or this", 50, 120)
    assert 'value="Or this"' in client.get(address).text
    client.post(f"/campaigns/{campaign.campaign_id}/send")
    Campaign.objects.update(status=CampaignStatus.IN_PROGRESS, started_at=timezone.now())
    shown = client.get(f"/campaigns/{campaign.campaign_id}").text
    assert "Two subjects are being tried" in shown
    assert "Or this" in shown


def test_a_draft_is_deleted_after_a_question(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    campaign, _ = begin(client)
    address = f"/campaigns/{campaign.campaign_id}/delete"
    assert "1 campaign" in client.get(address).text
    client.post(address)
    assert not Campaign.objects.exists()


def test_a_viewer_writes_nothing_and_a_stranger_finds_nothing(crowd: People, visit: Visit) -> None:
    campaign, address = begin(visit(crowd.member))
    assert visit(crowd.viewer).get(address).status_code == 403
    assert visit(crowd.viewer).post("/campaigns/new").status_code == 403
    assert visit(crowd.viewer).get(f"/campaigns/{campaign.campaign_id}").status_code == 200
    assert visit(crowd.stranger).get(address).status_code == 404
    template = Template.objects.create(tenant=crowd.tenant, name="Theirs", html="x")
    assert visit(crowd.stranger).get(f"/templates/{template.pk}").status_code == 404
    assert "Theirs" not in visit(crowd.stranger).get("/templates").text


def test_a_template_is_written_and_used(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    assert "No templates yet" in client.get("/templates").text
    fields = {"name": "Welcome", "subject": "Hello", "html": "<p>Dear {{ first_name }}</p>"}
    refused = client.post("/templates/new", {**fields, "html": "{% if %}"})
    assert (refused.status_code, "line 1" in refused.text) == (400, True)
    assert not Template.objects.exists()
    client.post("/templates/new", fields)
    template = Template.objects.get()
    assert "Welcome" in client.get("/templates").text
    shown = client.post("/templates/preview", {**fields, "contact": "ann@example.com"})
    assert "Dear Ann" in shown.text
    for none in ("²", "9" * 5000):
        shown = client.post("/templates/preview", {**fields, "template": none})
        assert "Dear Bob" in shown.text
        client.post(f"/templates/{template.pk}", {**fields, "act": f"detach:{none}"})
        assert client.post("/campaigns/new", {"template": none}).status_code == 404
    begun = client.post("/campaigns/new", {"template": template.pk})
    page = client.get(begun["Location"]).text
    assert "Dear {{ first_name }}" in page
    client.post(f"/templates/{template.pk}/delete")
    assert not Template.objects.exists()
    assert Campaign.objects.get().html_body == "<p>Dear {{ first_name }}</p>"


def test_an_empty_draft_is_told_all_that_it_lacks(crowd: People, visit: Visit) -> None:
    client = visit(crowd.member)
    _, place = begin(client)
    page = client.get(place).content.decode()
    lacking = ("no subject", "no From address", "nobody to send it to", "no text")
    assert [words for words in lacking if f"There is {words}." not in page] == []
    assert "See whether receivers trust this sender" not in page
    client.post(place, typed(everyone="on", act="save"))
    page = client.get(place).content.decode()
    assert [words for words in lacking if f"There is {words}." in page] == []
    assert "See whether receivers trust this sender" in page

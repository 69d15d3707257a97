"""The admin's campaign history: quick, whole, and without secrets."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from campaigns.audience import Recipients
from campaigns.creation import CampaignPlan, PlannedServer, create_campaign
from campaigns.feedback.following import follow_notices
from campaigns.feedback.intake import keep_notices
from campaigns.feedback.topics import register_topic
from campaigns.models import Campaign, CampaignStatus, Delivery, DeliveryState, Template
from campaigns.signing import add_dkim_key
from mailhub.mail.message import Attachment
from mailhub.mail.server import Encryption
from tests.people import People


@pytest.fixture
def admin_pages(db: None) -> Client:
    client = Client()
    client.force_login(
        User.objects.create_superuser("root", "root@example.org", "x"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


def add_campaign(people: People, sent: int = 3) -> Campaign:
    """One in progress, with some sent, one failed and one queued."""
    campaign = create_campaign(
        people.member.caller,
        CampaignPlan(
            name="Spring",
            subject="Hello",
            html_body="<p>x</p>",
            from_email="a@example.org",
            server=PlannedServer("127.0.0.1", 2525, Encryption.NONE, "user", "app-password"),
            attachments=(Attachment("a.txt", b"x"),),
            recipients=Recipients(emails=("x@example.com",)),
        ),
    )
    Campaign.objects.filter(pk=campaign.pk).update(
        status=CampaignStatus.IN_PROGRESS, started_at=timezone.now()
    )
    chosen = [DeliveryState.SENT] * sent + [DeliveryState.FAILED, DeliveryState.QUEUED]
    for number, state in enumerate(chosen):
        Delivery.objects.create(
            campaign=campaign,
            email=f"p{number}@example.com",
            state=state,
            reply="550 5.1.1 Unknown" if state == DeliveryState.FAILED else "",
        )
    return campaign


def test_the_list_has_bars_and_asks_no_more_for_more_rows(
    people: People, admin_pages: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    add_campaign(people)
    page = admin_pages.get("/admin/campaigns/campaign/").content.decode()
    assert '<progress max="100" value="80"' in page
    assert "3 sent, 1 failed" in page
    with CaptureQueriesContext(connection) as few:
        admin_pages.get("/admin/campaigns/campaign/")
    for _ in range(4):
        add_campaign(people)
    with django_assert_num_queries(len(few)):
        admin_pages.get("/admin/campaigns/campaign/")


def test_a_campaign_shows_its_message_and_counts_but_no_secret(
    people: People, admin_pages: Client
) -> None:
    campaign = add_campaign(people)
    page = admin_pages.get(f"/admin/campaigns/campaign/{campaign.pk}/change/").content.decode()
    assert campaign.campaign_id in page
    assert f"?campaign__id__exact={campaign.pk}&amp;state__exact=failed" in page
    assert "a.txt" in page
    assert "app-password" not in page
    assert campaign.smtp_password.token not in page


def test_deliveries_show_the_servers_words(people: People, admin_pages: Client) -> None:
    campaign = add_campaign(people)
    add_campaign(people, sent=20)
    address = f"/admin/campaigns/delivery/?campaign__id__exact={campaign.pk}&state__exact=failed"
    page = admin_pages.get(address).content.decode()
    assert "550 5.1.1 Unknown" in page
    assert page.count("p3@example.com") == 1
    assert "p20@example.com" not in page


def test_the_uncertain_are_resolved_and_the_failed_retried(
    people: People, admin_pages: Client
) -> None:
    campaign = add_campaign(people)
    uncertain = Delivery.objects.get(email="p0@example.com")
    for action, state in (("resend", "queued"), ("mark_sent", "sent")):
        Delivery.objects.filter(pk=uncertain.pk).update(state=DeliveryState.UNCERTAIN, reply="")
        admin_pages.post(
            "/admin/campaigns/campaign/", {"action": action, "_selected_action": campaign.pk}
        )
        uncertain.refresh_from_db()
        assert uncertain.state == state
    assert uncertain.reply == "root marked it as sent. "
    Campaign.objects.update(status=CampaignStatus.COMPLETED, smtp_password="")
    retry = {"action": "retry", "_selected_action": campaign.pk}
    page = admin_pages.post("/admin/campaigns/campaign/", retry, follow=True).content.decode()
    assert "password again" in page
    assert Delivery.objects.filter(state=DeliveryState.FAILED).count() == 1


def test_actions(people: People, admin_pages: Client) -> None:
    campaign = add_campaign(people)
    for action, status in (("pause", "paused"), ("resume", "in_progress"), ("cancel", "cancelled")):
        admin_pages.post(
            "/admin/campaigns/campaign/", {"action": action, "_selected_action": campaign.pk}
        )
        campaign.refresh_from_db()
        assert campaign.status == status
    page = admin_pages.post(
        "/admin/campaigns/campaign/",
        {"action": "resume", "_selected_action": campaign.pk},
        follow=True,
    )
    assert "This campaign is cancelled." in page.content.decode()


def test_an_operator_sees_templates_and_keeps_none_that_does_not_compile(
    admin_pages: Client, people: People
) -> None:
    template = Template.objects.create(tenant=people.tenant, name="Welcome", html="<p>Hi</p>")
    listed = admin_pages.get("/admin/campaigns/template/").text
    assert "Welcome" in listed
    address = f"/admin/campaigns/template/{template.pk}/change/"
    files = {"attachments-TOTAL_FORMS": "0", "attachments-INITIAL_FORMS": "0"}
    given = {"tenant": people.tenant.pk, "name": "Welcome", "subject": "", "text": "", **files}
    refused = admin_pages.post(address, {**given, "html": "{% if %}"})
    assert "line 1" in refused.text
    assert admin_pages.post(address, {**given, "html": "<p>Hello</p>"}).status_code == 302
    template.refresh_from_db()
    assert template.html == "<p>Hello</p>"


def test_topics_notices_and_keys_are_seen_without_a_secret(
    people: People, admin_pages: Client
) -> None:
    arn = "arn:aws:sns:eu-west-1:123456789012:mail"
    topic = register_topic(people.tenant, arn)
    keep_notices(topic, [("notice-1", '{"eventType": "Open"}'), ("notice-2", "{}")])
    follow_notices()
    key = add_dkim_key(people.tenant, "example.org", "mailhub")
    root = "/admin/campaigns"
    for path in ("sestopic/", "sesnotice/?due_at__isempty=1", "sesnotice/?q=notice-1"):
        assert arn in admin_pages.get(f"{root}/{path}").text
    assert "notice-2" not in admin_pages.get(f"{root}/sesnotice/?q=notice-1").text
    shown = admin_pages.get(f"{root}/dkimkey/{key.pk}/change/").text
    assert key.public_key in shown
    assert "private" not in shown.lower()
    refused = admin_pages.post(f"{root}/sestopic/add/", {"tenant": people.tenant.pk, "arn": "x"})
    assert "Give the ARN of an SNS topic" in refused.text
    for path in ("dkimkey/add/", "sesnotice/add/", f"dkimkey/{key.pk}/delete/"):
        assert admin_pages.get(f"{root}/{path}").status_code == 403


def test_the_state_of_a_delivery_is_headed_so(admin_pages: Client, people: People) -> None:
    add_campaign(people)
    page = admin_pages.get("/admin/campaigns/delivery/").content.decode()
    assert 'class="column-shown"' in page
    heading = page.partition('class="column-shown"')[2].partition("</th>")[0]
    assert ">State<" in heading.replace("\n", "").replace(" ", "")

"""An admin makes a key for DKIM, and registers a topic of SES."""

from __future__ import annotations

import pytest
from django.utils import timezone

from campaigns.feedback.topics import register_topic
from campaigns.models import DkimKey, SesTopic
from campaigns.signing import add_dkim_key
from tests.browser.conftest import Desk, enter
from tests.people import People
from tests.servers.sns import TOPIC


@pytest.fixture
def admins_desk(desk: Desk, people: People) -> Desk:
    enter(desk, people.admin)
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return desk


def test_a_key_is_made_and_its_record_copied(admins_desk: Desk, people: People) -> None:
    page = admins_desk.page
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="DKIM keys").click()
    page.get_by_text("No keys yet").wait_for()
    admins_desk.look("dkim-keys-empty")
    page.locator(".title").get_by_role("link", name="Add a key").click()
    page.get_by_label("Domain").fill("news example")
    page.get_by_role("button", name="Add").click()
    page.get_by_text("This is not a host name.").wait_for()
    admins_desk.forgive("400")
    admins_desk.look("dkim-key-refused")
    page.get_by_label("Domain").fill("news.acme.example")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("heading", name="Put this record into the DNS").wait_for()
    admins_desk.look("dkim-key")
    key = DkimKey.objects.get()
    for name, text in (("name", str(key)), ("value", key.dns_value)):
        page.get_by_role("button", name=f"Copy the {name}").click()
        page.get_by_text("Copied.").wait_for()
        page.wait_for_function(
            "text => navigator.clipboard.readText().then(t => t === text)", arg=text
        )
    add_dkim_key(people.tenant, "acme.example", "spring")
    page.get_by_role("link", name="All keys").click()
    page.get_by_role("link", name="news.acme.example").wait_for()
    admins_desk.look("dkim-keys")
    page.get_by_role("link", name="news.acme.example").click()
    page.get_by_role("link", name="Remove").click()
    page.get_by_text("The private key cannot be had back.").wait_for()
    admins_desk.look("dkim-key-remove")
    page.get_by_role("button", name="Remove").click()
    page.get_by_text("are not signed here any more").wait_for()
    assert DkimKey.objects.get().domain == "acme.example"


def test_a_topic_is_registered_and_removed(admins_desk: Desk, people: People) -> None:
    page = admins_desk.page
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="SES topics").click()
    page.get_by_text("No topics yet").wait_for()
    admins_desk.look("ses-topics-empty")
    page.locator(".title").get_by_role("link", name="Add a topic").click()
    page.get_by_label("ARN of the topic").fill("mail-events")
    page.get_by_role("button", name="Add").click()
    page.get_by_text("Give the ARN of an SNS topic").wait_for()
    admins_desk.forgive("400")
    admins_desk.look("ses-topic-refused")
    page.get_by_label("ARN of the topic").fill(TOPIC)
    page.get_by_role("button", name="Add").click()
    page.get_by_text("Not subscribed yet").wait_for()
    page.get_by_role("button", name="Copy the endpoint").click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").endswith("/api/webhooks/ses")
    now = timezone.now()
    SesTopic.objects.update(confirmed_at=now, last_notice_at=now)
    failing = register_topic(people.tenant, f"{TOPIC}-of-the-other-region")
    failing.queue_url = "https://sqs.eu-west-1.amazonaws.com/123456789012/mail-events-for-mailhub"
    failing.trouble = "The specified queue does not exist."
    failing.save()
    page.reload()
    page.get_by_text("Failing").wait_for()
    admins_desk.look("ses-topics")
    page.get_by_role("link", name=f"Remove {TOPIC}", exact=True).click()
    page.get_by_text("What it has told stays.").wait_for()
    admins_desk.look("ses-topic-remove")
    page.get_by_role("button", name="Remove").click()
    page.get_by_text("The topic is removed.").wait_for()
    assert SesTopic.objects.get() == failing

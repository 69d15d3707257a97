"""An admin makes a key for DKIM, sees whether receivers find it, and registers a topic of SES."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from campaigns.feedback.topics import register_topic
from campaigns.models import DkimKey, SesTopic
from campaigns.signing import add_dkim_key
from tests.browser.conftest import Desk, enter
from tests.people import People
from tests.servers.dns import NameServer
from tests.servers.ses import KEYS, REGION, SesFake
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


def test_the_sender_check_finds_the_record_once_it_is_published(
    admins_desk: Desk,
    people: People,
    name_server: NameServer,
    ses_fake: SesFake,
    settings: Settings,
) -> None:
    settings.MAILHUB_DNS_SERVER = name_server.address
    name_server.records.update(
        {
            ("acme.example.", "MX"): ["10 mx.acme.example."],
            ("mx.acme.example.", "A"): ["192.0.2.1"],
            ("_spf.mail.example.", "TXT"): ['"v=spf1 ip4:192.0.2.0/24 -all"'],
            ("acme.example.", "TXT"): ['"v=spf1 include:_spf.mail.example ~all"'],
            ("_dmarc.acme.example.", "TXT"): ['"v=DMARC1; p=none; rua=mailto:d@acme.example"'],
        }
    )
    key = add_dkim_key(people.tenant, "acme.example", "spring")
    page = admins_desk.open(f"/settings/dkim-keys/{key.pk}")
    page.get_by_role("link", name="Check the domain").click()
    row = page.get_by_role("row", name="DKIM")
    row.get_by_text("To be mended").wait_for()
    admins_desk.look("sender-check-unpublished")
    text = key.dns_value
    name_server.records[f"{key}.", "TXT"] = [f'"{text[:200]}" "{text[200:]}"']
    page.get_by_role("button", name="Check").click()
    row.get_by_text("In order").wait_for()
    admins_desk.look("sender-check-in-order")

    settings.MAILHUB_DEFAULT_SENDER = "ses"
    settings.AWS_SES_REGION_NAME, settings.AWS_SES_REGION_ENDPOINT_URL = REGION, ses_fake.url
    settings.AWS_SES_ACCESS_KEY_ID = KEYS.access_key_id
    settings.AWS_SES_SECRET_ACCESS_KEY = KEYS.secret_access_key
    ses_fake.account.in_sandbox = True
    page.get_by_label("From which address").fill("news@acme.example")
    page.get_by_role("button", name="Check").click()
    page.get_by_text("The SES account is in the sandbox").wait_for()
    admins_desk.look("sender-check-at-ses")


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

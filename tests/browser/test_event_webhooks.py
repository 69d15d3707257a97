"""An admin lets another program be told of what happens."""

from __future__ import annotations

import pytest

from accounts.event_webhooks import add_webhook
from accounts.models import EventDelivery, EventWebhook
from tests.accounts.hooked import deliver
from tests.browser.conftest import Desk, enter
from tests.people import People
from tests.servers.receiver import Receiver, Script


@pytest.fixture
def admins_desk(desk: Desk, people: People) -> Desk:
    enter(desk, people.admin)
    return desk


def test_a_webhook_is_added_tested_and_deleted(
    admins_desk: Desk, people: People, receiver: Receiver
) -> None:
    page = admins_desk.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Event webhooks").click()
    page.get_by_text("No webhooks yet").wait_for()
    admins_desk.look("event-webhooks-empty")
    page.locator(".title").get_by_role("link", name="Add a webhook").click()
    page.get_by_label("Address").fill("https://user@example.com/")
    page.get_by_role("button", name="Add").click()
    page.get_by_text("Leave name and password out").wait_for()
    admins_desk.forgive("400")
    admins_desk.look("event-webhook-refused")
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_label("What it is for").fill("The CRM")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("heading", name="The webhook is added").wait_for()
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied.").wait_for()
    secret = page.evaluate("navigator.clipboard.readText()")
    assert secret == page.get_by_label("Secret of The CRM").input_value()
    assert EventWebhook.objects.get().reveal_secrets() == [secret]
    admins_desk.look("event-webhook-secret")

    page.get_by_role("link", name="I have copied it").click()
    page.get_by_text("Nothing was posted to it yet").wait_for()
    receiver.scripts.append(Script(500, b"The database is down; try again in a while, please"))
    page.get_by_role("button", name="Send a test").click()
    page.get_by_text("A test event is on its way").wait_for()
    deliver()
    page.get_by_text("500 The database is down").wait_for()
    page.reload()
    admins_desk.look("event-webhook-failing")
    EventWebhook.objects.update(held_until=None)
    EventDelivery.objects.update(next_attempt_at="2026-01-01T00:00:00Z")
    deliver()
    page.get_by_text("Delivered").wait_for()
    page.reload()
    admins_desk.look("event-webhook")
    page.get_by_role("button", name="Disable").click()
    page.get_by_text("It is disabled").wait_for()
    admins_desk.look("event-webhook-disabled")
    page.get_by_role("link", name="Delete").click()
    page.get_by_text("Its secret cannot be had back").wait_for()
    admins_desk.look("event-webhook-delete")
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("No webhooks yet").wait_for()


def test_several_in_a_list(admins_desk: Desk, people: People) -> None:
    caller = people.admin.caller
    add_webhook(caller, url="https://127.0.0.1:1/hook", events=["*"], description="The CRM")
    add_webhook(
        caller,
        url="https://127.0.0.1:1/a/rather/long/path",
        events=["message.received", "account.disabled", "sync.failed"],
    )
    page = admins_desk.open("/settings/event-webhooks")
    page.get_by_role("link", name="The CRM").wait_for()
    admins_desk.look("event-webhooks")

"""Settings › Event webhooks: for admins, with a secret that is shown once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils import timezone

from accounts.event_webhooks import add_webhook
from accounts.models import EventDelivery, EventWebhook
from tests.accounts.hooked import deliver
from tests.pages.conftest import Visit
from tests.people import People
from tests.servers.receiver import Receiver, Script

ROOT = "/settings/event-webhooks"
FORM = {"url": "https://127.0.0.1:1/hook", "events": ["message.received"], "description": "CRM"}


def make(people: People, **fields: Any) -> EventWebhook:
    return add_webhook(people.admin.caller, **{**FORM, **fields})[0]


def test_one_is_added_and_its_secret_is_shown_once(people: People, visit: Visit) -> None:
    client = visit(people.admin)
    assert "No webhooks yet" in client.get(ROOT).text
    shown = client.post(f"{ROOT}/add", FORM).text
    secret = re.search(r'value="(whsec_[^"]+)"', shown)
    assert secret is not None
    webhook = EventWebhook.objects.get()
    assert webhook.events == ["message.received"]
    assert webhook.reveal_secrets() == [secret[1]]
    for path in (ROOT, f"{ROOT}/{webhook.pk}", f"{ROOT}/{webhook.pk}/change"):
        assert "whsec_" not in client.get(path).text
    rotated = client.post(f"{ROOT}/{webhook.pk}/secret").text
    assert "whsec_" in rotated
    assert secret[1] not in rotated


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "ftp://example.com/"}, "Give an https address."),
        ({"url": "https://10.0.0.1/"}, "points at a private address"),
        ({"events": []}, "Choose one at least."),
        ({"events": ["nothing.happened"]}, "Select a valid choice"),
        ({"description": "two\nlines"}, "Line breaks and control"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    people: People, visit: Visit, wrong: dict[str, Any], words: str
) -> None:
    answer = visit(people.admin).post(f"{ROOT}/add", {**FORM, "description": "My CRM", **wrong})
    assert answer.status_code == 400
    assert words in answer.text
    assert "CRM" in answer.text or "description" in wrong
    assert not EventWebhook.objects.exists()


def test_all_events_stand_alone(people: People, visit: Visit) -> None:
    visit(people.admin).post(f"{ROOT}/add", {**FORM, "events": ["*", "sync.failed"]})
    assert EventWebhook.objects.get().events == ["*"]


def test_a_test_and_what_became_of_it(people: People, visit: Visit, receiver: Receiver) -> None:
    client = visit(people.admin)
    webhook = make(people, url=receiver.url)
    receiver.scripts.append(Script(500, b"<b>Out of order</b>"))
    page = client.post(f"{ROOT}/{webhook.pk}/test", follow=True).text
    assert "webhook.test" in page
    assert 'hx-trigger="every 2s"' in page
    deliver()
    part = client.get(f"{ROOT}/{webhook.pk}/deliveries").text
    assert "500 &lt;b&gt;Out of order&lt;/b&gt;" in part
    assert "Tries have failed" in client.get(f"{ROOT}/{webhook.pk}").text
    assert "Failing" in client.get(ROOT).text
    EventDelivery.objects.update(next_attempt_at=timezone.now())
    deliver()
    part = client.get(f"{ROOT}/{webhook.pk}/deliveries").text
    assert "Delivered" in part
    assert "hx-trigger" not in part


def test_it_is_switched_changed_and_deleted(people: People, visit: Visit) -> None:
    client = visit(people.admin)
    webhook = make(people)
    path = f"{ROOT}/{webhook.pk}"
    EventWebhook.objects.update(disabled_reason="The receiver answered 410.", is_enabled=False)
    for page in (path, "/"):
        assert "The receiver answered 410." in client.get(page).text
    assert "The receiver answered 410." not in visit(people.member).get("/").text
    assert "The receiver answered 410." not in visit(people.stranger).get("/").text
    assert f"{path}/test" not in client.get(path).text
    assert client.post(f"{path}/test").status_code == 409
    assert (
        "It is disabled"
        not in client.post(f"{path}/switch", {"is_enabled": "on"}, follow=True).text
    )
    assert (
        "It is disabled" in client.post(f"{path}/switch", {"is_enabled": "off"}, follow=True).text
    )
    client.post(f"{path}/change", {**FORM, "url": "https://127.0.0.1:2/new", "events": ["*"]})
    webhook.refresh_from_db()
    assert (webhook.url, webhook.events) == ("https://127.0.0.1:2/new", ["*"])
    assert "No event waits" in client.get(f"{path}/delete").text
    assert "No webhooks yet" in client.post(f"{path}/delete", follow=True).text
    assert not EventWebhook.objects.exists()


def test_it_is_for_admins_of_the_tenant(people: People, visit: Visit) -> None:
    webhook = make(people)
    pages = [("get", ROOT), ("get", f"{ROOT}/add"), ("get", f"{ROOT}/{webhook.pk}")]
    pages += [("get", f"{ROOT}/{webhook.pk}/{name}") for name in ("deliveries", "change", "delete")]
    pages += [("post", f"{ROOT}/{webhook.pk}/{name}") for name in ("test", "switch", "secret")]
    for method, path in pages:
        assert getattr(visit(people.member), method)(path).status_code == 403, path
        if not path.endswith(("add", ROOT)):
            assert getattr(visit(people.stranger), method)(path).status_code == 404, path
    assert "CRM" not in visit(people.stranger).get(ROOT).text
    assert 'href="/settings"' not in visit(people.member).get("/").text
    assert 'href="/settings"' in visit(people.admin).get("/").text

"""`event-webhooks`: what an admin may say, and what is never said back."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.event_webhooks import add_webhook
from accounts.events.catalogue import CATALOGUE
from accounts.events.publishing import publish
from accounts.models import Event, EventWebhook
from campaigns.lifecycle import cancel_campaign, pause_campaign, resume_campaign
from tests.accounts.hooked import deliver
from tests.pages.mailings import make_campaign
from tests.people import People
from tests.servers.receiver import Receiver, Script
from tests.servers.site import ROOT

HOOK = {"url": "https://127.0.0.1:1/hook", "events": ["message.received"]}


def add(people: People, **changes: Any) -> Any:
    return people.admin.api.post("/api/event-webhooks", {**HOOK, **changes})


def test_from_first_to_last(people: People, receiver: Receiver) -> None:
    api = people.admin.api
    made = add(people, url=receiver.url, events=["*"], description="The CRM").json()
    secret = made.pop("secret")
    assert made == api.get(f"/api/event-webhooks/{made['id']}").json()
    assert api.get("/api/event-webhooks").json()["event_webhooks"] == [made]
    assert made["is_enabled"] is True
    assert made["last_success_at"] is made["failing_since"] is None

    path = f"/api/event-webhooks/{made['id']}"
    answer = api.post(f"{path}/test")
    assert answer.status_code == 202
    receiver.scripts.append(Script(500, b"Out of order"))
    deliver()
    (told,) = api.get(f"{path}/deliveries").json()["deliveries"]
    assert told["event_id"] == answer.json()["event_id"] == receiver.received[0].event["id"]
    assert told["type"] == "webhook.test"
    assert (told["state"], told["http_status"], told["reply"]) == ("pending", 500, "Out of order")
    assert told["attempts"] == 1
    assert told["created_at"] <= told["last_attempt_at"] < told["next_attempt_at"]
    assert api.get(path).json()["failing_since"] == told["last_attempt_at"]

    rotated = api.post(f"{path}/rotate-secret").json()["secret"]
    assert rotated != secret
    changed = api.patch(path, {"is_enabled": False, "events": ["account.disabled"]}).json()
    assert (changed["is_enabled"], changed["events"]) == (False, ["account.disabled"])
    refused = api.post(f"{path}/test")
    assert (refused.status_code, refused.json()["error"]) == (409, "webhook_disabled")
    assert api.delete(path).status_code == 204
    assert api.get(f"{path}/deliveries").status_code == 404


def test_the_secret_is_shown_once_and_kept_sealed(
    people: People, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api = people.admin.api
    made = add(people).json()
    path = f"/api/event-webhooks/{made['id']}"
    rotated = api.post(f"{path}/rotate-secret").json()
    for secret in (made["secret"], rotated["secret"]):
        assert secret.startswith("whsec_")
        later = [
            api.get("/api/event-webhooks").text,
            api.get(path).text,
            api.patch(path, {"description": "x"}).text,
            caplog.text,
            repr(EventWebhook.objects.get().__dict__),
        ]
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM event_webhooks")
            later.append(repr(cursor.fetchall()))
        assert not any(secret.removeprefix("whsec_") in text for text in later)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "ftp://127.0.0.1/",
        "https://",
        "https:///path",
        "//127.0.0.1/",
        "127.0.0.1",
        "javascript:alert(1)",
        "https://user:word@127.0.0.1/",
        "https://127.0.0.1:99999/",
        "https://127.0.0.1:0/",
        "https://127.0.0.1/#part",
        "https://127.0.0.1/a b",
        "https://127.0.0.1/ä",
        "https://127.0.0.1/\r\nHost: other",
        "https://[::1/",
        "https://a..b/",
        "https://127.0.0.1/" + "x" * 2000,
        "",
    ],
)
def test_an_address_that_cannot_be_called_is_refused(
    people: People, settings: Any, url: str
) -> None:
    settings.MAILHUB_ALLOW_PLAINTEXT = False
    answer = add(people, url=url)
    assert answer.status_code == 400
    assert list(answer.json()["details"]["fields"]) == ["url"]
    assert not EventWebhook.objects.exists()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "0.0.0.0",
    ],
)
def test_a_private_address_is_refused(people: People, settings: Any, host: str) -> None:
    settings.MAILHUB_ALLOWED_NETWORKS = []
    for answer in (
        add(people, url=f"https://{host}/"),
        people.admin.api.patch(
            f"/api/event-webhooks/{add_webhook(people.admin.caller, **HOOK)[0].pk}",  # type: ignore[arg-type]  # as a client sends it
            {"url": f"https://{host}/"},
        ),
    ):
        assert (answer.status_code, answer.json()["error"]) == (400, "host_not_allowed")


@pytest.mark.parametrize("events", [[], ["message.recieved"], ["*", "sync.failed"], "*", [1], None])
def test_events_that_there_are_not_are_refused(people: People, events: Any) -> None:
    answer = add(people, events=events)
    assert answer.status_code == 400
    assert "events" in str(answer.json()["details"]["fields"])


def test_an_international_host_is_stored_as_it_is_called(people: People) -> None:
    assert add(people, url="https://BÜCHER.invalid:8443/x?y=1").json()["url"] == (
        "https://xn--bcher-kva.invalid:8443/x?y=1"
    )


def test_their_number_is_limited(people: People, settings: Any) -> None:
    settings.MAILHUB_EVENT_WEBHOOKS = 2
    assert [add(people).status_code for _ in range(3)] == [201, 201, 409]
    assert people.stranger.api.post("/api/event-webhooks", HOOK).status_code == 201


def test_what_becomes_of_a_campaign_is_told(people: People) -> None:
    add(people, events=["*"])
    campaign = make_campaign(people.member, name="Spring", queued=1)
    pause_campaign(campaign)
    resume_campaign(campaign)
    cancel_campaign(campaign)
    events = list(Event.objects.order_by("id"))
    assert [each.type for each in events] == [
        "campaign.paused",
        "campaign.started",
        "campaign.cancelled",
    ]
    assert events[0].data == {
        "campaign_id": campaign.campaign_id,
        "campaign_name": "Spring",
        "status": "paused",
        "last_error": "",
    }


def test_an_event_that_was_rolled_back_never_was(people: People) -> None:
    add(people, events=["*"])
    with transaction.atomic():
        publish(people.tenant.pk, "account.connected", {"accountId": "a"})
        transaction.set_rollback(True)
    assert not Event.objects.exists()


def test_every_event_is_documented_for_clients() -> None:
    described = " ".join((ROOT / "docs" / "openapi.yaml").read_text().split())
    for kind in CATALOGUE.values():
        assert f"`{kind.name}`: {kind.happens} (data: {', '.join(kind.fields)})" in described

"""Events reach a real receiver: signed, once each while it works, again while it does not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.event_webhooks import rotate_secret, send_test
from accounts.events.courier import forget_old_events
from accounts.events.outcomes import MOST_TRIES, PAUSES
from accounts.events.publishing import publish
from accounts.events.signing import new_secret
from accounts.models import Event, EventDelivery, EventDeliveryState, EventWebhook
from tests.accounts.hooked import NEWS, Hooked, deliver
from tests.people import People
from tests.servers.certificates import make_certificate
from tests.servers.receiver import Receiver, Script
from tests.servers.site import ROOT


def test_an_event_is_posted_and_signed(hooked: Hooked, receiver: Receiver, people: People) -> None:
    publish(people.tenant.pk, "account.connected", {"accountId": "Zürich"})
    assert deliver() == 1
    (request,) = receiver.received
    assert request.is_signed_with(hooked.secret)
    assert request.path == "/hook?by=mailhub"
    assert request.headers["content-type"] == "application/json"
    assert set(request.event) == {"id", "type", "timestamp", "tenant", "data"}
    assert request.event["id"] == request.headers["webhook-id"]
    assert request.event["type"] == "account.connected"
    assert request.event["tenant"] == "acme"
    assert request.event["data"] == {"accountId": "Zürich"}
    assert abs(int(request.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    (delivery,) = hooked.deliveries
    assert (delivery.state, delivery.status, delivery.attempts) == ("delivered", 200, 1)
    assert delivery.next_attempt_at is None
    assert hooked.row.last_success_at is not None
    assert deliver() == 0


def test_a_signature_of_another_secret_or_body_is_none(
    hooked: Hooked, receiver: Receiver, people: People
) -> None:
    other = Hooked(people, receiver)
    hooked.publish()
    deliver()
    assert sorted(each.is_signed_with(hooked.secret) for each in receiver.received) == [False, True]
    assert sorted(each.is_signed_with(other.secret) for each in receiver.received) == [False, True]
    one, two = receiver.received
    assert one.headers["webhook-id"] == two.headers["webhook-id"]


def test_the_receiver_in_the_documentation_checks_signatures(
    hooked: Hooked, receiver: Receiver
) -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    names: dict[str, Any] = {}
    exec(page.partition("```python")[2].partition("```")[0], names)
    is_genuine = names["is_genuine"]
    fresh = rotate_secret(hooked.row)
    hooked.publish()
    deliver()
    (request,) = receiver.received
    for secret in (hooked.secret, fresh):
        assert is_genuine(secret, request.headers, request.body)
        assert not is_genuine(secret, request.headers, request.body + b" ")
    old = {**request.headers, "webhook-timestamp": "1700000000"}
    assert not is_genuine(fresh, old, request.body)
    assert not is_genuine(new_secret(), request.headers, request.body)


def test_a_refused_event_is_tried_again_under_its_id(hooked: Hooked, receiver: Receiver) -> None:
    receiver.scripts.append(Script(500, b"No\n room\x00 today"))
    hooked.publish()
    deliver()
    (delivery,) = hooked.deliveries
    assert (delivery.state, delivery.status, delivery.attempts) == ("pending", 500, 1)
    assert delivery.reply == "No room today"
    assert delivery.last_attempt_at and delivery.next_attempt_at
    pause = (delivery.next_attempt_at - delivery.last_attempt_at).total_seconds()
    assert 0.8 * PAUSES[0] <= pause <= 1.2 * PAUSES[0]
    assert deliver() == 0, "not before its time"
    hooked.wait_no_longer()
    deliver()
    first, second = receiver.received
    assert second.body == first.body
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.is_signed_with(hooked.secret)
    assert [each.state for each in hooked.deliveries] == ["delivered"]
    assert hooked.row.failures == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_refusal(
    hooked: Hooked, receiver: Receiver, other_receiver: Receiver, status: int
) -> None:
    receiver.usual = Script(status, headers={"Location": other_receiver.url})
    hooked.publish()
    deliver()
    assert len(receiver.received) == 1
    assert not other_receiver.received
    assert hooked.deliveries[0].status == status


def test_a_refusal_of_one_event_holds_up_no_other(hooked: Hooked, receiver: Receiver) -> None:
    receiver.scripts.append(Script(422))
    hooked.publish(5)
    while deliver():
        pass
    assert len(receiver.received) == 5
    assert sorted(each.state for each in hooked.deliveries) == ["delivered"] * 4 + ["pending"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (Script(act="hang"), (0, "The receiver did not answer in time.")),
        (Script(act="drip"), (0, "The receiver did not answer in time.")),
        (Script(act="close"), (0, "The receiver could not be reached.")),
        (Script(503, b"Closed", {"Retry-After": "120"}), (503, "Closed")),
        (Script(429), (429, "")),
    ],
    ids=["hangs", "drips", "closes", "asks to wait", "too many"],
)
def test_one_in_trouble_is_left_alone_and_the_others_keep_their_tries(
    hooked: Hooked, receiver: Receiver, settings: Any, script: Script, said: tuple[int, str]
) -> None:
    settings.MAILHUB_EVENT_TIMEOUT = 0.25
    receiver.usual = script
    hooked.publish(20)
    deliver()
    tried = [each for each in hooked.deliveries if each.attempts]
    # One by each connection at most.
    assert 1 <= len(tried) <= 4
    assert {(each.status, each.reply) for each in tried} == {said}
    held = hooked.row.held_until
    assert held is not None and held > timezone.now()
    if "Retry-After" in script.headers:
        assert held > timezone.now() + timedelta(seconds=60)
    assert deliver() == 0

    hooked.wait_no_longer()
    asked = len(receiver.received)
    deliver()
    assert len(receiver.received) == asked + 1, "one event asks whether it is well again"
    receiver.release()
    receiver.usual = Script()
    hooked.wait_no_longer()
    deliver()
    assert {each.state for each in hooked.deliveries} == {"delivered"}


def test_pauses_grow(hooked: Hooked, receiver: Receiver) -> None:
    receiver.usual = Script(503)
    hooked.publish(30)
    holds = []
    for _ in range(5):
        hooked.wait_no_longer()
        deliver()
        held = hooked.row.held_until
        assert held is not None
        holds.append((held - timezone.now()).total_seconds())
    assert holds == sorted(holds)
    assert holds[-1] > 30


def test_one_that_is_gone_is_disabled(hooked: Hooked, receiver: Receiver) -> None:
    receiver.usual = Script(410)
    hooked.publish()
    deliver()
    assert not hooked.is_enabled()
    assert "410" in hooked.row.disabled_reason
    hooked.publish()
    assert Event.objects.count() == 1, "nothing is kept for it any more"
    hooked.wait_no_longer()
    assert deliver() == 0


def test_one_that_failed_for_days_is_disabled_and_may_come_back(
    hooked: Hooked, receiver: Receiver, people: People
) -> None:
    receiver.usual = Script(404, b"No such page")
    hooked.publish()
    deliver()
    assert hooked.is_enabled()
    EventWebhook.objects.update(failing_since=timezone.now() - timedelta(days=3, hours=1))
    hooked.wait_no_longer()
    deliver()
    assert not hooked.is_enabled()
    assert "No such page" in hooked.row.disabled_reason

    receiver.usual = Script()
    answer = people.admin.api.patch(f"/api/event-webhooks/{hooked.pk}", {"is_enabled": True})
    assert (answer.json()["disabled_reason"], answer.json()["failing_since"]) == ("", None)
    hooked.wait_no_longer()
    deliver()
    assert [each.state for each in hooked.deliveries] == ["delivered"]


def test_tries_end(hooked: Hooked, receiver: Receiver) -> None:
    receiver.usual = Script(500)
    hooked.publish()
    EventDelivery.objects.update(attempts=MOST_TRIES - 2)
    for state in (EventDeliveryState.PENDING, EventDeliveryState.FAILED):
        hooked.wait_no_longer()
        deliver()
        (delivery,) = hooked.deliveries
        assert delivery.state == state
    assert delivery.attempts == MOST_TRIES
    assert delivery.next_attempt_at is None
    assert sum(PAUSES) > 3 * 86_400


def test_many_events_go_over_few_connections(hooked: Hooked, receiver: Receiver) -> None:
    hooked.publish(250)
    deliver()
    assert len(receiver.received) == 250
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 250
    assert receiver.connections <= 4


def test_a_connection_that_was_closed_meanwhile_is_opened_again(
    hooked: Hooked, receiver: Receiver
) -> None:
    receiver.scripts.extend(Script(act="close after") for _ in range(3))
    hooked.publish(30)
    deliver()
    assert {(each.state, each.attempts) for each in hooked.deliveries} == {("delivered", 1)}


def test_a_huge_answer_is_not_read(hooked: Hooked, receiver: Receiver) -> None:
    receiver.scripts.append(Script(500, b"x" * 5_000_000))
    hooked.publish(3)
    deliver()
    refused = next(each for each in hooked.deliveries if each.status == 500)
    assert len(refused.reply) == 300
    assert sorted(each.status for each in hooked.deliveries) == [200, 200, 500]


def test_over_tls_the_certificate_is_verified(
    people: People, tmp_path: Path, settings: Any
) -> None:
    certificate = make_certificate(tmp_path, "127.0.0.1")
    receiver = Receiver(certificate)
    try:
        hooked = Hooked(people, receiver)
        hooked.publish()
        deliver()
        assert "certificate" in hooked.deliveries[0].reply
        settings.MAILHUB_CA_FILE = str(certificate[0])
        hooked.wait_no_longer()
        deliver()
    finally:
        receiver.close()
    assert hooked.deliveries[0].state == "delivered"
    assert receiver.received[0].is_signed_with(hooked.secret)


def test_what_may_not_be_reached_is_not_called(
    hooked: Hooked, receiver: Receiver, settings: Any
) -> None:
    settings.MAILHUB_ALLOWED_NETWORKS = []
    hooked.publish()
    deliver()
    assert receiver.connections == 0
    assert "private address" in hooked.deliveries[0].reply
    settings.MAILHUB_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.MAILHUB_ALLOW_PLAINTEXT = False
    hooked.wait_no_longer()
    deliver()
    assert receiver.connections == 0
    assert "https" in hooked.deliveries[0].reply


def test_after_a_rotation_both_secrets_sign_for_a_day(hooked: Hooked, receiver: Receiver) -> None:
    fresh = rotate_secret(hooked.row)
    hooked.publish()
    deliver()
    assert receiver.received[0].is_signed_with(hooked.secret)
    assert receiver.received[0].is_signed_with(fresh)
    EventWebhook.objects.update(previous_secret_until=timezone.now())
    hooked.publish()
    deliver()
    assert not receiver.received[1].is_signed_with(hooked.secret)
    assert receiver.received[1].is_signed_with(fresh)
    forget_old_events()
    assert not hooked.row.previous_secret


def test_a_secret_that_cannot_be_read_disables(
    hooked: Hooked, receiver: Receiver, settings: Any
) -> None:
    settings.MAILHUB_ENCRYPTION_KEYS = ["b3RoZXIta2V5LW9mLTMyLW9jdGV0cy1mb3ItdGVzdHM="]
    hooked.publish()
    deliver()
    assert not receiver.received
    assert "rotate" in hooked.row.disabled_reason


def test_a_test_is_posted_to_that_one_alone(
    people: People, receiver: Receiver, other_receiver: Receiver
) -> None:
    hooked = Hooked(people, receiver, ["campaign.failed"])
    Hooked(people, other_receiver)
    send_test(hooked.row)
    deliver()
    assert receiver.types == ["webhook.test"]
    assert not other_receiver.received


def test_each_is_told_of_what_it_asked_for(
    people: People, receiver: Receiver, other_receiver: Receiver
) -> None:
    Hooked(people, receiver, ["account.connected"])
    disabled = Hooked(people, other_receiver)
    EventWebhook.objects.filter(pk=disabled.pk).update(is_enabled=False)
    publish(people.tenant.pk, "account.connected", NEWS)
    publish(people.tenant.pk, "account.disconnected", NEWS)
    publish(people.other_tenant.pk, "account.connected", NEWS)
    assert Event.objects.count() == 1
    deliver()
    assert receiver.types == ["account.connected"]
    assert not other_receiver.received

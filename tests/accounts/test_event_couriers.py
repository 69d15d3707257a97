"""Who delivers events: one worker a webhook, whoever hangs and whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.events.courier import Courier, claim_due, forget_old_events
from accounts.events.delivering import Turn
from accounts.models import Event, EventDelivery, EventWebhook
from tests.accounts.hooked import Hooked, deliver
from tests.people import People
from tests.servers.processes import wait_until
from tests.servers.receiver import Receiver, Script
from tests.servers.site import ROOT


def test_one_worker_at_a_time(hooked: Hooked) -> None:
    hooked.publish()
    (mine,) = claim_due(16)
    assert list(claim_due(16)) == []
    EventWebhook.objects.update(leased_until=timezone.now())
    (theirs,) = claim_due(16)
    assert theirs.worker != mine.worker


def test_old_events_are_forgotten(hooked: Hooked) -> None:
    hooked.publish(3)
    Event.objects.update(created_at=timezone.now() - timedelta(days=15))
    hooked.publish(2)
    assert forget_old_events() == 3
    assert Event.objects.count() == EventDelivery.objects.count() == 2


def test_who_is_deleted_while_it_is_told_of_something_fails_nothing(
    hooked: Hooked, receiver: Receiver
) -> None:
    hooked.publish(2)
    (claimed,) = claim_due(16)
    EventWebhook.objects.get(pk=hooked.pk).delete()
    Turn(claimed, threading.Event()).run()
    assert EventDelivery.objects.count() == 0
    assert not receiver.received


@pytest.mark.django_db(transaction=True)
def test_one_that_hangs_keeps_nobody_else_waiting(
    people: People, receiver: Receiver, other_receiver: Receiver
) -> None:
    receiver.usual = Script(act="hang")
    hanging, well = Hooked(people, receiver), Hooked(people, other_receiver)
    hanging.publish(3)
    courier = Courier()
    courier.start_due()
    wait_until(lambda: len(other_receiver.received) == 3, "the other has its events")
    assert len(receiver.received) <= 3
    receiver.release()
    courier.close()
    assert {each.state for each in well.deliveries} == {"delivered"}
    assert well.row.worker == ""


@pytest.mark.django_db(transaction=True)
def test_several_machines_share_the_work(
    people: People, receiver: Receiver, other_receiver: Receiver
) -> None:
    webhooks = [Hooked(people, each) for each in (receiver, other_receiver) for _ in range(3)]
    webhooks[0].publish(40)
    couriers = [Courier(), Courier()]

    def is_done() -> bool:
        for courier in couriers:
            courier.start_due()
        return not EventDelivery.objects.filter(state="pending").exists()

    wait_until(is_done, "all is delivered", pause=0.05)
    for courier in couriers:
        courier.close()
    for each in (receiver, other_receiver):
        ids = [request.headers["webhook-id"] for request in each.received]
        assert len(ids) == 120, "none twice to one webhook"
        assert {ids.count(one) for one in ids} == {3}


@pytest.mark.django_db(transaction=True)
def test_what_a_killed_worker_was_about_is_posted_again(hooked: Hooked, receiver: Receiver) -> None:
    receiver.scripts.append(Script(act="hang"))
    hooked.publish()
    with subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "dispatch", "--skip-checks"],
        env={**os.environ, "DATABASE_URL": _database_url()},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            wait_until(lambda: bool(receiver.received), "the worker posts the event")
        finally:
            os.kill(worker.pid, signal.SIGKILL)
    assert hooked.deliveries[0].state == "pending"
    assert deliver() == 0, "the lease has not run out"
    EventWebhook.objects.update(leased_until=timezone.now())
    assert deliver() == 1
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert hooked.deliveries[0].state == "delivered"
    assert deliver() == 0


def _database_url() -> str:
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    return (
        f"postgres://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}"
        f"/{values['NAME']}"
    )

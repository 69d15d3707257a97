"""How many connections may be open at once, whoever opens them, over a real Dovecot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.connection_limits import Place, take_place
from mailboxes.connections import store_of
from mailboxes.models import HeldConnection, Message, SyncState
from mailboxes.sync.requesting import request_sync
from mailboxes.tasks import run_sync
from mailhub.errors import Busy
from tests.mailboxes.conftest import Connected, raw_message
from tests.mailboxes.runs import database_url, fresh
from tests.people import People
from tests.servers.processes import wait_until
from tests.servers.site import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def limits(settings: Any) -> Iterator[Any]:
    """Small ones; what a test has taken it gives back, as nobody else would."""
    settings.MAILHUB_CONNECTIONS_PER_ACCOUNT = 2
    settings.MAILHUB_CONNECTIONS_PER_HOST = 3
    yield settings
    while _taken:
        _taken.pop().give_back()


_taken: list[Place] = []


def take(account: EmailAccount, *, patience: float = 0) -> Place:
    place = take_place(account, patience=patience)
    _taken.append(place)
    return place


def test_an_account_has_so_many_and_no_more(account: EmailAccount) -> None:
    first, _ = take(account), take(account)
    with pytest.raises(Busy) as refused:
        take(account)
    assert refused.value.retry_after
    first.give_back()
    take(account)


def test_accounts_of_a_host_share_its_places(people: People, account: EmailAccount) -> None:
    other = people.connect_account(people.teammate, hostname="127.0.0.1")
    elsewhere = people.connect_account(people.reader, hostname="127.0.0.2")
    taken = [take(account), take(account), take(other)]
    with pytest.raises(Busy):
        take(other)
    take(elsewhere)
    taken[0].give_back()
    take(other)


def test_the_same_host_is_the_same_however_it_is_written(people: People) -> None:
    names = ("mail.example.org", "MAIL.example.org", "mail.example.org.")
    for person, name in zip((people.member, people.teammate, people.reader), names, strict=True):
        take(people.connect_account(person, hostname=name))
    with pytest.raises(Busy):
        take(people.connect_account(people.sender, hostname=names[0]))


def test_nought_is_no_limit(account: EmailAccount, limits: Any) -> None:
    limits.MAILHUB_CONNECTIONS_PER_ACCOUNT = 0
    for _ in range(3):
        take(account)
    limits.MAILHUB_CONNECTIONS_PER_HOST = 0
    for _ in range(5):
        take(account)


def test_many_at_once_never_take_more_than_there_is(account: EmailAccount) -> None:
    taken: list[Place] = []

    def try_one() -> None:
        try:
            taken.append(take(account, patience=0.5))
        except Busy:
            pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=try_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 2
    assert HeldConnection.objects.count() == 2


def test_who_waits_gets_the_place_that_is_given_back(account: EmailAccount) -> None:
    first, _ = take(account), take(account)

    def give_back() -> None:
        first.give_back()
        connections.close_all()

    timer = threading.Timer(0.2, give_back)
    timer.start()
    take(account, patience=10)
    timer.join()


def test_what_a_process_held_that_was_killed_is_free_again(account: EmailAccount) -> None:
    script = (
        "import time; from accounts.models import EmailAccount;"
        "from mailboxes.connection_limits import take_place;"
        "account = EmailAccount.objects.get();"
        "held = [take_place(account, patience=0) for _ in range(2)]; time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "shell", "--no-imports", "-c", script],
        env={**os.environ, "DATABASE_URL": database_url(), "MAILHUB_CONNECTIONS_PER_ACCOUNT": "2"},
        cwd=ROOT,
    )
    wait_until(lambda: HeldConnection.objects.count() == 2, "the other process holds both")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(Busy):
        take(account)
    HeldConnection.objects.update(renewed_at=Now() - timedelta(seconds=31))
    take(account)


def test_a_connection_gives_its_place_back_however_it_ends(connected: Connected) -> None:
    with store_of(connected.account):
        assert HeldConnection.objects.count() == 1
    assert not HeldConnection.objects.exists()
    connected.account.port = 1
    with pytest.raises(Exception, match="refused"), store_of(connected.account):
        pass
    assert not HeldConnection.objects.exists()


def test_a_call_of_the_api_is_told_to_come_back(connected: Connected, people: People) -> None:
    connected.user.deliver(raw_message("m"))
    run_sync(str(request_sync(connected.account).run.pk))
    for _ in range(2):
        take(connected.account)
    api: APIClient = people.member.api
    answer = api.patch(f"/api/messages/{Message.objects.get().pk}", {"isRead": True})
    assert (answer.status_code, answer.json()["error"]) == (503, "busy")
    assert int(answer["Retry-After"]) > 0


def test_a_pass_is_put_back_and_harms_nothing(connected: Connected) -> None:
    places = [take(connected.account), take(connected.account)]
    run = request_sync(connected.account).run
    run_sync(str(run.pk))
    assert fresh(run).is_active
    assert (fresh(run).error, fresh(run).worker) == ("", "")
    places[0].give_back()
    run_sync(str(run.pk))
    assert fresh(run).state == SyncState.COMPLETED

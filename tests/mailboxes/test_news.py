"""Webhooks are told of new mail: of each message once, and of no old one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.event_webhooks import add_webhook
from accounts.models import Event, EventDelivery, EventWebhook
from mailboxes.models import FolderEntry, Message
from mailboxes.sync.control import Interruption, PassInterrupted
from mailboxes.sync.requesting import request_sync
from mailboxes.sync.running import carry_out
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.in_memory import InMemoryStore
from tests.mailboxes.conftest import PASSWORD, Mailbox, Pop3Account, raw_message
from tests.people import People
from tests.servers.processes import free_port


@pytest.fixture
def listener(people: People) -> EventWebhook:
    return add_webhook(people.admin.caller, url="https://127.0.0.1:1/", events=["*"])[0]


def deliver(mailbox: Mailbox, subject: str, path: str = "INBOX", **headers: str) -> None:
    mailbox.remote.deliver(raw_message(subject, **headers), path)


def news() -> list[dict[str, Any]]:
    """What was told of mail, oldest first."""
    rows = Event.objects.filter(type="message.received").order_by("created_at", "id")
    return list(rows.values_list("data", flat=True))


def told() -> list[str]:
    """The subjects of the messages told of."""
    return [Message.objects.get(pk=each["id"]).subject for each in news()]


def test_what_was_there_before_is_no_news(mailbox: Mailbox, listener: EventWebhook) -> None:
    for number in range(250):
        deliver(mailbox, f"old {number}")
    mailbox.sync()
    assert Message.objects.count() == 250
    assert told() == []
    deliver(mailbox, "new")
    mailbox.sync()
    assert told() == ["new"]
    assert EventDelivery.objects.count() == 1
    mailbox.sync()
    mailbox.sync(full=True)
    assert told() == ["new"]


def test_who_is_told_finds_the_message(
    mailbox: Mailbox, listener: EventWebhook, people: People
) -> None:
    mailbox.sync()
    deliver(mailbox, "new")
    mailbox.sync()
    (data,) = news()
    assert set(data) == {"accountId", "id", "threadId", "folderIds"}
    answer = people.member.api.get(f"/api/messages/{data['id']}")
    assert answer.json()["subject"] == "new"
    assert answer.json()["text"].startswith("Hi there.")
    assert {name: answer.json()[name] for name in data} == data


def test_a_first_pass_in_several_turns_tells_of_nothing_old(
    mailbox: Mailbox, listener: EventWebhook
) -> None:
    for number in range(30):
        deliver(mailbox, f"old {number}")
    run_id = uuid.uuid4()
    for patience in range(1, 12):
        try:
            mailbox.sync(run_id=run_id, interruption=after(patience))
        except PassInterrupted:
            continue
    mailbox.sync()
    assert not FolderEntry.objects.filter(lacks_body=True).exists()
    assert told() == []


def test_new_mail_is_told_of_once_wherever_a_pass_ends(
    mailbox: Mailbox, listener: EventWebhook
) -> None:
    mailbox.sync()
    for number in range(5):
        deliver(mailbox, f"new {number}")
    for patience in range(1, 12):
        try:
            mailbox.sync(interruption=after(patience))
        except PassInterrupted:
            assert set(told()) <= set(mailbox.subjects()), "told of what can be read"
            assert not Message.objects.filter(
                pk__in=[each["id"] for each in news()], entries__lacks_body=True
            ).exists()
    mailbox.sync()
    assert sorted(told()) == [f"new {number}" for number in range(5)]


def test_a_crash_between_header_and_body_loses_and_repeats_nothing(
    mailbox: Mailbox, listener: EventWebhook
) -> None:
    mailbox.sync()
    deliver(mailbox, "new")
    with pytest.raises(Killed):
        mailbox.sync(store=killed_at_bodies(mailbox))
    assert mailbox.subjects() == ["new"]
    assert told() == []
    mailbox.sync()
    assert told() == ["new"]


def test_a_move_is_no_news(mailbox: Mailbox, listener: EventWebhook) -> None:
    mailbox.remote.add_folder("Projects")
    mailbox.sync()
    deliver(mailbox, "new")
    mailbox.sync()
    with mailbox.store() as store:
        store.select("INBOX", read_only=False)
        store.move(list(mailbox.inbox.messages), "Projects")
    mailbox.sync()
    assert mailbox.subjects("Projects") == ["new"]
    assert told() == ["new"]


def test_a_folder_that_is_read_anew_tells_of_nothing(
    mailbox: Mailbox, listener: EventWebhook
) -> None:
    for number in range(5):
        deliver(mailbox, f"old {number}")
    mailbox.sync()
    mailbox.inbox.renumber()
    deliver(mailbox, "meanwhile")
    mailbox.sync()
    assert len(mailbox.subjects()) == 6
    assert told() == []
    deliver(mailbox, "after")
    mailbox.sync()
    assert told() == ["after"]


def test_a_maildrop_tells_of_what_comes_after_its_first_pass(
    people: People, listener: EventWebhook
) -> None:
    account = people.connect_account(people.member, protocol="pop3", password="secret")
    drop = Pop3Account(account)
    drop.deliver(*(f"old {number}" for number in range(20)))
    with pytest.raises(PassInterrupted):
        drop.sync(interruption=after(4))
    drop.sync()
    assert Message.objects.count() == 20
    assert told() == []
    drop.deliver("new")
    drop.sync()
    drop.sync(full=True)
    assert told() == ["new"]


@pytest.mark.parametrize("path", ["Sent", "Drafts", "Trash"])
def test_what_the_user_wrote_or_threw_away_is_not_received(
    mailbox: Mailbox, listener: EventWebhook, path: str
) -> None:
    mailbox.sync()
    deliver(mailbox, "mine", path)
    mailbox.sync()
    assert mailbox.subjects(path) == ["mine"]
    assert told() == []


def test_a_body_that_is_too_large_is_told_of_all_the_same(
    mailbox: Mailbox, listener: EventWebhook
) -> None:
    mailbox.sync()
    deliver(mailbox, "large", text="x" * 5000)
    mailbox.sync(largest_kept=1000)
    assert told() == ["large"]


def test_without_a_listener_nothing_is_written(mailbox: Mailbox, people: People) -> None:
    add_webhook(people.stranger.caller, url="https://127.0.0.1:1/", events=["*"])
    add_webhook(people.admin.caller, url="https://127.0.0.1:1/", events=["campaign.failed"])
    mailbox.sync()
    for number in range(3):
        deliver(mailbox, f"m{number}")
    with CaptureQueriesContext(connection) as queries:
        mailbox.sync()
    assert not Event.objects.exists()
    asked = [each["sql"] for each in queries if "event_webhooks" in each["sql"]]
    assert len(asked) == 1, "once a pass"
    assert not any('is_unannounced" = ' in each["sql"] for each in queries)


def test_an_account_that_goes_on_failing_is_told_of_once(
    people: People, listener: EventWebhook
) -> None:
    account = people.connect_account(people.member, port=free_port(), encryption="none")
    for _ in range(3):
        carry_out(request_sync(account).run.pk)
    failed = Event.objects.get(type="sync.failed").data
    assert failed["accountId"] == str(account.pk)
    assert (failed["code"], failed["isPermanent"]) == ("connection_failed", False)
    assert not Event.objects.filter(type="account.disabled").exists()


def test_an_account_that_is_switched_off_is_told_of(
    people: People, listener: EventWebhook, settings: Any
) -> None:
    account = people.connect_account(people.member)
    settings.MAILHUB_ALLOWED_NETWORKS = []
    for _ in range(3):
        carry_out(request_sync(account).run.pk)
    account.refresh_from_db()
    assert not account.is_enabled
    events = Event.objects.filter(type="account.disabled").values_list("data", flat=True)
    assert list(events) == [
        {
            "accountId": str(account.pk),
            "code": "host_not_allowed",
            "reason": account.disabled_reason,
        }
    ]


def test_accounts_that_come_and_go_are_told_of(people: People, listener: EventWebhook) -> None:
    account = people.connect_account(people.member)
    pk = str(account.pk)
    account.disconnect()
    events = Event.objects.order_by("id").values_list("type", "data")
    assert list(events) == [
        ("account.connected", {"accountId": pk}),
        ("account.disconnected", {"accountId": pk}),
    ]


def test_a_tenant_is_deleted_with_all_of_it(people: People, listener: EventWebhook) -> None:
    people.connect_account(people.member)
    people.tenant.delete()
    assert not Event.objects.exists()


def after(checks: int) -> Callable[[], Interruption | None]:
    """Out of time when it is asked once more than so often."""
    left = [checks]

    def interruption() -> Interruption | None:
        left[0] -= 1
        return Interruption.OUT_OF_TIME if left[0] < 0 else None

    return interruption


class Killed(Exception):
    """Not a MailError: nothing catches it."""


class KilledAtBodies(InMemoryStore):
    """The process ends when the first body is asked for."""

    def fetch(self, uids: Any, *, headers_only: bool = False) -> Any:
        if not headers_only:
            raise Killed
        return super().fetch(uids, headers_only=headers_only)


def killed_at_bodies(mailbox: Mailbox) -> KilledAtBodies:
    login = PasswordLogin(mailbox.account.username, PASSWORD)
    return KilledAtBodies(mailbox.server, login)

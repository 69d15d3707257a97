"""The changes feed: nothing is missed, whoever writes at the same time."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from mailboxes.api.changes import ChangesSerializer
from mailboxes.changing import change_messages
from mailboxes.journal import forget_old_removals, writing
from mailboxes.models import Journal, Message, MessageChange
from mailboxes.wishes import Wish
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.people import People


class Follower:
    """A client that knows of the account what the feed has told it."""

    def __init__(self, mailbox: Mailbox, api: APIClient, since: str | None = None) -> None:
        self.api, self.account_id, self.cursor = api, str(mailbox.account.pk), since
        self.known: dict[str, dict[str, Any]] = {}

    def ask(self, limit: int = 50) -> dict[str, Any]:
        query: dict[str, Any] = {"accountId": self.account_id, "limit": limit}
        if self.cursor is not None:
            query["since"] = self.cursor
        response = self.api.get("/api/changes", query)
        assert response.status_code == 200, response.content
        answer: dict[str, Any] = response.json()
        for message in answer["added"] + answer["changed"]:
            self.known[message["id"]] = message
        for message_id in answer["removed"]:
            self.known.pop(message_id, None)
        self.cursor = answer["cursor"]
        return answer

    def catch_up(self, limit: int = 50) -> dict[str, dict[str, Any]]:
        while self.ask(limit)["hasMore"]:
            pass
        return self.known


def shown(api: APIClient) -> dict[str, dict[str, Any]]:
    """All that a list tells now."""
    answer = api.get("/api/messages?limit=500").json()
    return {message["id"]: message for message in answer["messages"]}


def subjects(messages: list[dict[str, Any]]) -> list[str]:
    return sorted(message["subject"] for message in messages)


def test_added_changed_removed(mailbox: Mailbox, api: APIClient) -> None:
    for number in range(3):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.sync()
    follower = Follower(mailbox, api)
    first = follower.ask()
    assert first.keys() == ChangesSerializer().get_fields().keys()
    assert (subjects(first["added"]), first["changed"], first["removed"]) == (
        ["m0", "m1", "m2"],
        [],
        [],
    )
    assert not first["hasMore"]
    gone = str(mailbox.message("m2").pk)
    mailbox.inbox.set_flags(1, ["\\Seen"])
    mailbox.inbox.remove(3)
    mailbox.remote.deliver(raw_message("m3"))
    mailbox.sync()
    second = follower.ask()
    assert subjects(second["added"]) == ["m3"]
    assert subjects(second["changed"]) == ["m0"]
    assert second["removed"] == [gone]
    third = follower.ask()
    assert (third["added"], third["changed"], third["removed"]) == ([], [], [])
    assert follower.known == shown(api)


def test_a_call_of_the_api_is_told_as_well(mailbox: Mailbox, api: APIClient) -> None:
    for number in range(3):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.sync()
    follower = Follower(mailbox, api)
    follower.catch_up()
    for subject, wish in (
        ("m0", Wish(is_flagged=True)),
        ("m1", Wish(delete=True)),
        ("m2", Wish(delete=True, permanent=True)),
    ):
        pk = mailbox.message(subject).pk
        assert not change_messages(
            mailbox.account, [pk], wish, open_store=lambda account: mailbox.store()
        )
    answer = follower.ask()
    assert subjects(answer["changed"]) == ["m0", "m1"]
    assert len(answer["removed"]) == 1
    assert follower.known == shown(api)


def test_pages_of_one(mailbox: Mailbox, api: APIClient) -> None:
    follower, latecomer = Follower(mailbox, api), Follower(mailbox, api)
    for number in range(5):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.sync()
    assert follower.catch_up(1) == shown(api)
    latecomer.ask(2)
    mailbox.inbox.remove(1)
    for uid in (2, 3, 4, 5):
        mailbox.inbox.set_flags(uid, ["\\Seen"])
    mailbox.sync()
    assert latecomer.ask(2)["changed"] == [], "what it was not told of yet is new to it"
    assert latecomer.catch_up(2) == shown(api)
    assert follower.catch_up(1) == shown(api)


def test_latest_begins_now(mailbox: Mailbox, api: APIClient) -> None:
    mailbox.remote.deliver(raw_message("old"))
    mailbox.sync()
    follower = Follower(mailbox, api, "latest")
    assert follower.ask()["added"] == []
    mailbox.remote.deliver(raw_message("new"))
    mailbox.sync()
    assert subjects(follower.ask()["added"]) == ["new"]


def test_merged_conversations_are_changes(mailbox: Mailbox, api: APIClient) -> None:
    for name in "ab":
        mailbox.remote.deliver(raw_message("Plan", message_id=f"<{name}@x>"))
    mailbox.sync()
    follower = Follower(mailbox, api)
    follower.catch_up()
    mailbox.remote.deliver(raw_message("Re: Plan", references="<a@x> <b@x>"))
    mailbox.sync()
    assert follower.catch_up() == shown(api)
    assert len({message["threadId"] for message in follower.known.values()}) == 1


def test_a_cursor_that_is_too_old(mailbox: Mailbox, api: APIClient) -> None:
    for number in range(3):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.sync()
    stale, fresh = Follower(mailbox, api), Follower(mailbox, api)
    stale.ask()
    mailbox.inbox.remove(1)
    mailbox.sync()
    fresh.catch_up()
    MessageChange.objects.update(noted_at=timezone.now() - timedelta(days=29))
    forget_old_removals(mailbox.account.pk)
    assert MessageChange.objects.filter(is_removed=True).exists()
    MessageChange.objects.update(noted_at=timezone.now() - timedelta(days=31))
    forget_old_removals(mailbox.account.pk)
    assert not MessageChange.objects.filter(is_removed=True).exists()
    query = {"accountId": stale.account_id, "since": stale.cursor or ""}
    answer = api.get("/api/changes", query)
    assert (answer.status_code, answer.json()["error"]) == (409, "cursor_expired")
    assert fresh.catch_up() == shown(api)
    beginner = Follower(mailbox, api)
    assert beginner.catch_up(1) == shown(api), "who begins anew is never too late"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "accountId"),
        ({"accountId": "7"}, "accountId"),
        ({"accountId": "{account}", "since": "nonsense"}, "since"),
        ({"accountId": "{account}", "since": "{foreign}"}, "since"),
        ({"accountId": "{account}", "since": "{list}"}, "since"),
        ({"accountId": "{account}", "limit": "501"}, "limit"),
        ({"accountId": "{account}", "folderId": "1"}, "folderId"),
    ],
)
def test_what_is_not_understood(
    mailbox: Mailbox, people: People, api: APIClient, query: dict[str, str], field: str
) -> None:
    other = Mailbox(people.connect_account(people.member, email_address="b@acme.example"))
    for _ in range(2):
        mailbox.remote.deliver(raw_message())
    mailbox.sync()
    names = {
        "account": str(mailbox.account.pk),
        "foreign": Follower(other, api).ask()["cursor"],
        "list": api.get("/api/messages?limit=1").json()["nextCursor"],
    }
    answer = api.get("/api/changes", {key: text.format(**names) for key, text in query.items()})
    assert answer.status_code == 400
    assert field in answer.json()["details"]["fields"]


def test_others_changes_are_not_there(mailbox: Mailbox, people: People) -> None:
    mailbox.sync()
    query = {"accountId": str(mailbox.account.pk)}
    for person in (people.teammate, people.admin, people.stranger):
        assert person.api.get("/api/changes", query).status_code == 404
    people.delegate(mailbox.account, people.reader)
    assert people.reader.api.get("/api/changes", query).status_code == 200


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["deliver", "flag", "move", "remove", "renumber", "full", "ask", "forget"]),
        st.integers(0, 5),
    ),
    max_size=12,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=ACTS)
def test_whatever_happens_a_follower_knows_what_a_list_shows(
    people: People, api: APIClient, acts: list[tuple[str, int]]
) -> None:
    mailbox = Mailbox(people.connect_account(people.member, email_address="f@acme.example"))
    follower = Follower(mailbox, api)
    for act, number in acts:
        uids = sorted(mailbox.inbox.messages)
        uid = uids[number % len(uids)] if uids else None
        if act == "deliver":
            mailbox.remote.deliver(raw_message(f"m{number}"))
        elif act == "renumber":
            mailbox.inbox.renumber()
        elif act == "ask":
            follower.ask(2)
        elif act == "forget":
            forget_old_removals(mailbox.account.pk)
        elif uid is not None and act == "flag":
            mailbox.inbox.set_flags(uid, ["\\Seen"] if number % 2 else ["\\Flagged"])
        elif uid is not None and act == "move":
            mailbox.inbox.move(uid, "Archive")
        elif uid is not None and act == "remove":
            mailbox.inbox.remove(uid)
        mailbox.sync(full=act == "full")
    try:
        assert follower.catch_up(3) == shown(api)
    finally:
        mailbox.account.delete()


@pytest.mark.django_db(transaction=True)
def test_a_reader_sees_no_number_before_all_lower_ones(mailbox: Mailbox, api: APIClient) -> None:
    """A writer that commits late holds the next one back; on its own connection, each."""
    mailbox.remote.deliver(raw_message("a"))
    mailbox.remote.deliver(raw_message("b"))
    mailbox.sync()
    first, second = Message.objects.order_by("pk").values_list("pk", flat=True)
    account_id = mailbox.account.pk
    follower = Follower(mailbox, api)
    follower.catch_up()
    holds, may_end = threading.Event(), threading.Event()
    numbers: dict[str, int] = {}

    def write(name: str, pk: int, *, slowly: bool) -> None:
        try:
            with writing(account_id) as note:
                numbers[name] = note.sequence
                note.changed([pk])
                if slowly:
                    holds.set()
                    may_end.wait(20)
        finally:
            connection.close()

    slow = threading.Thread(target=write, args=("slow", first), kwargs={"slowly": True})
    quick = threading.Thread(target=write, args=("quick", second), kwargs={"slowly": False})
    slow.start()
    assert holds.wait(20)
    quick.start()
    during = changed_now(account_id)
    may_end.set()
    slow.join(20)
    quick.join(20)
    assert during == [], "nothing of the second is seen while the first is not"
    assert numbers["slow"] < numbers["quick"]
    assert len(follower.ask()["changed"]) == 2
    assert Journal.objects.get().sequence == numbers["quick"]


def changed_now(account_id: Any) -> list[int]:
    last = Journal.objects.get(account_id=account_id).sequence
    rows = MessageChange.objects.filter(account_id=account_id, sequence__gt=last)
    return list(rows.values_list("pk", flat=True))

"""Conversations: who belongs together, whatever the order of arrival, and what is shown."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from mailboxes.api.threads import ThreadSerializer
from mailboxes.message_filter import MessageFilter
from mailboxes.message_list import matching, placements
from mailboxes.models import Message, Thread, ThreadKey
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.people import People

DAY = datetime(2026, 11, 1, tzinfo=UTC)

# Two conversations of three and two, and one message alone with the same subject.
MAIL = {
    "a1": {"message_id": "<a1@x>", "subject": "Plan"},
    "a2": {"message_id": "<a2@x>", "subject": "Re: Plan", "in_reply_to": "<a1@x>"},
    "a3": {"message_id": "<a3@x>", "subject": "AW: Plan", "references": "<a1@x> <a2@x>"},
    "b1": {"message_id": "<b1@x>", "subject": "Plan"},
    "b2": {"message_id": "<b2@x>", "subject": "Re: Plan", "references": "<b1@x>"},
    "c1": {"message_id": "<c1@x>", "subject": "Other", "in_reply_to": "<a1@x>"},
}
TOGETHER = {frozenset({"a1", "a2", "a3"}), frozenset({"b1", "b2"}), frozenset({"c1"})}


def deliver(mailbox: Mailbox, name: str, path: str = "INBOX", day: int = 0, **more: Any) -> int:
    fields: dict[str, str] = {**MAIL[name], **more}
    subject = fields.pop("subject")
    return mailbox.remote.folder(path).deliver(
        raw_message(subject, **fields), received_at=DAY + timedelta(days=day)
    )


def conversations(mailbox: Mailbox) -> set[frozenset[str]]:
    """By the first part of the messages' ids."""
    found: dict[Any, set[str]] = {}
    rows = Message.objects.visible().filter(account=mailbox.account)
    for thread_id, message_id in rows.values_list("thread_id", "message_id"):
        found.setdefault(thread_id, set()).add(message_id.partition("@")[0])
    assert None not in found
    return {frozenset(names) for names in found.values()}


@pytest.mark.parametrize("order", list(itertools.permutations(MAIL))[::97])
@pytest.mark.parametrize("size", [1, 3, 6])
def test_any_order_of_arrival(mailbox: Mailbox, order: tuple[str, ...], size: int) -> None:
    for start in range(0, len(order), size):
        for name in order[start : start + size]:
            deliver(mailbox, name)
        mailbox.sync()
    assert conversations(mailbox) == TOGETHER
    assert Thread.objects.count() == 3
    assert set(ThreadKey.objects.values_list("thread_id", flat=True)) == set(
        Thread.objects.values_list("pk", flat=True)
    )


def test_a_missing_link_merges_under_the_older_id(mailbox: Mailbox, api: APIClient) -> None:
    deliver(mailbox, "b1")
    mailbox.sync()
    deliver(mailbox, "b2", references="")
    mailbox.sync()
    older, newer = Thread.objects.order_by("pk").values_list("pk", flat=True)
    deliver(mailbox, "a1", references="<b1@x> <b2@x>")
    mailbox.sync()
    assert conversations(mailbox) == {frozenset({"b1", "b2", "a1"})}
    assert api.get(f"/api/threads/{older}").json()["messageCount"] == 3
    assert api.get(f"/api/threads/{newer}").status_code == 404


def test_accounts_have_conversations_of_their_own(mailbox: Mailbox, people: People) -> None:
    other = Mailbox(people.connect_account(people.member, email_address="b@acme.example"))
    for box in (mailbox, other):
        deliver(box, "a1")
        box.sync()
        deliver(box, "a2")
        box.sync()
    assert Thread.objects.count() == 2
    for box in (mailbox, other):
        assert conversations(box) == {frozenset({"a1", "a2"})}


def test_across_folders_and_moves(mailbox: Mailbox, api: APIClient) -> None:
    deliver(mailbox, "a1", day=1)
    deliver(mailbox, "a2", "Sent", day=2)
    mailbox.sync()
    (thread,) = api.get("/api/threads").json()["threads"]
    folders = {str(mailbox.folder(path).pk) for path in ("INBOX", "Sent")}
    assert set(thread["folderIds"]) == folders
    mailbox.inbox.move(1, "Archive")
    mailbox.sync()
    (moved,) = api.get("/api/threads").json()["threads"]
    assert (moved["id"], moved["messageCount"]) == (thread["id"], 2)
    assert str(mailbox.folder("Archive").pk) in moved["folderIds"]


def test_what_is_shown(mailbox: Mailbox, api: APIClient) -> None:
    deliver(mailbox, "a1", day=1)
    deliver(mailbox, "b1", day=2)
    deliver(mailbox, "a2", day=3, text="Newest.", **{"from": "Bob <bob@example.org>"})
    mailbox.inbox.set_flags(1, ["\\Seen", "\\Flagged"])
    mailbox.sync()
    answer = api.get("/api/threads", {"accountId": str(mailbox.account.pk)}).json()
    first, second = answer["threads"]
    assert first.keys() == ThreadSerializer().get_fields().keys()
    assert answer["nextCursor"] is None
    assert (first["subject"], first["snippet"]) == ("Plan", "Newest.")
    assert (first["messageCount"], first["unreadCount"], first["isFlagged"]) == (2, 1, True)
    assert [person["name"] for person in first["participants"]] == ["Ada Lovelace", "Bob"]
    assert first["newestAt"] == int((DAY + timedelta(days=3)).timestamp() * 1000)
    assert (second["messageCount"], second["isFlagged"]) == (1, False)
    whole = api.get(f"/api/threads/{first['id']}").json()
    assert [message["messageId"] for message in whole["messages"]] == ["a1@x", "a2@x"]
    assert {message["threadId"] for message in whole["messages"]} == {first["id"]}
    assert {name: whole[name] for name in first} == first


def test_what_was_thrown_away_is_not_unread_and_lists_nothing(
    mailbox: Mailbox, api: APIClient
) -> None:
    deliver(mailbox, "a1", day=1)
    deliver(mailbox, "a2", "Trash", day=2)
    deliver(mailbox, "a3", "Junk", day=3)
    deliver(mailbox, "b1", "Trash", day=4)
    deliver(mailbox, "c1", "Junk", day=5)
    mailbox.sync()
    (thread,) = api.get("/api/threads").json()["threads"]
    assert (thread["messageCount"], thread["unreadCount"]) == (3, 1)
    mailbox.inbox.set_flags(1, ["\\Seen"])
    mailbox.sync()
    assert api.get(f"/api/threads/{thread['id']}").json()["unreadCount"] == 0
    thrown_away = mailbox.message("Other").thread_id
    assert api.get(f"/api/threads/{thrown_away}").json()["messageCount"] == 1
    mailbox.remote.folder("Junk").move(2, "INBOX")
    mailbox.sync()
    found = {row["id"]: row["unreadCount"] for row in api.get("/api/threads").json()["threads"]}
    assert found == {thread["id"]: 0, str(thrown_away): 1}


def test_what_vanishes_leaves_its_conversation(mailbox: Mailbox, api: APIClient) -> None:
    deliver(mailbox, "a1", day=1)
    deliver(mailbox, "a2", day=3)
    deliver(mailbox, "b1", day=2)
    mailbox.sync()
    mailbox.inbox.remove(2)
    mailbox.sync()
    shown = api.get("/api/threads").json()["threads"]
    assert [(row["messageCount"], row["unreadCount"]) for row in shown] == [(1, 1), (1, 1)]
    assert [row["newestAt"] for row in shown] == sorted(
        (row["newestAt"] for row in shown), reverse=True
    )
    mailbox.inbox.remove(1)
    mailbox.sync()
    assert len(api.get("/api/threads").json()["threads"]) == 1
    mailbox.sync(full=True)
    assert Thread.objects.count() == 1, "nothing is left of the other"


def test_messages_of_a_conversation(mailbox: Mailbox, people: People, api: APIClient) -> None:
    deliver(mailbox, "a1", day=1)
    deliver(mailbox, "a2", "Sent", day=2)
    deliver(mailbox, "b1", day=3)
    mailbox.sync()
    thread = mailbox.message("Re: Plan").thread_id
    assert thread is not None

    def ids(**query: str) -> list[str]:
        answer = api.get("/api/messages", {"threadId": str(thread), **query})
        assert answer.status_code == 200, answer.content
        return [message["messageId"] for message in answer.json()["messages"]]

    assert ids() == ["a2@x", "a1@x"]
    assert ids(folderId=str(mailbox.folder("Sent").pk)) == ["a2@x"]
    assert ids(q="subject:plan") == ["a2@x", "a1@x"]
    assert ids(limit="1") == ["a2@x"]
    assert api.get("/api/messages?threadId=987654321").status_code == 404
    assert people.stranger.api.get(f"/api/messages?threadId={thread}").status_code == 404


def test_messages_of_a_conversation_walk_its_index(mailbox: Mailbox) -> None:
    deliver(mailbox, "a1")
    mailbox.sync()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # A table as small as a test's would be scanned whatever indexes it has.
            cursor.execute("SET LOCAL enable_seqscan = off")
    wanted = MessageFilter(thread_id=mailbox.message("Plan").thread_id)
    entries = placements(mailbox.account.pk, wanted)
    assert "message_thread" in matching(entries, wanted, None)[:50].explain()


def test_pages(mailbox: Mailbox, api: APIClient) -> None:
    for number in range(7):
        mailbox.inbox.deliver(
            raw_message(f"m{number}"), received_at=DAY + timedelta(hours=number // 2)
        )
    mailbox.sync()
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        query = {"limit": "3", **({"cursor": cursor} if cursor else {})}
        answer = api.get("/api/threads", query).json()
        seen += [row["subject"] for row in answer["threads"]]
        cursor = answer["nextCursor"]
    assert len(seen) == 7
    assert seen[0] == "m6"
    assert sorted(seen) == sorted(set(seen))


def test_a_page_costs_the_same_whatever_its_length(mailbox: Mailbox, api: APIClient) -> None:
    api.get("/api/threads")
    costs = []
    for count in (3, 30):
        for number in range(count):
            mailbox.remote.deliver(raw_message(f"m{number}"))
        mailbox.sync()
        with CaptureQueriesContext(connection) as queries:
            api.get("/api/threads?limit=500")
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_a_batch_costs_the_same_whatever_it_merges(mailbox: Mailbox) -> None:
    costs = []
    for count in (2, 40):
        fields = [{"message_id": f"<{count}-{n}@x>", "subject": "Plan"} for n in range(count)]
        for each in fields:
            mailbox.remote.deliver(raw_message(**each))
        mailbox.sync()
        link = " ".join(each["message_id"] for each in fields)
        mailbox.remote.deliver(raw_message("Re: Plan", references=link))
        with CaptureQueriesContext(connection) as queries:
            mailbox.sync()
        costs.append(len(queries))
        assert len(conversations(mailbox)) == len(costs)
    assert costs[0] == costs[1]


def test_others_conversations_are_not_there(mailbox: Mailbox, people: People) -> None:
    deliver(mailbox, "a1")
    mailbox.sync()
    pk = Thread.objects.get().pk
    for person in (people.teammate, people.admin, people.stranger):
        assert person.api.get(f"/api/threads/{pk}").status_code == 404
        assert person.api.get("/api/threads").json()["threads"] == []
        answer = person.api.get("/api/threads", {"accountId": str(mailbox.account.pk)})
        assert answer.status_code == 404
    people.delegate(mailbox.account, people.reader)
    assert people.reader.api.get(f"/api/threads/{pk}").status_code == 200

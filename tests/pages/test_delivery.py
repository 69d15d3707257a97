"""The delivery log: who sees what, what may be decided there, and what it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import DeadLetter, OutboxContent, OutboxMessage, OutboxState
from tests.mailboxes.outgoing import put_out
from tests.pages.conftest import Visit
from tests.people import People

LISTS = ("/delivery", "/delivery/outbox", "/delivery/scheduled", "/delivery/dead-letters")


@pytest.fixture
def account(people: People) -> EmailAccount:
    """Of `people.member`."""
    return people.connect_account(people.member)


def shown(visit: Visit, person: Any, path: str, **query: str) -> str:
    answer = visit(person).get(path, query)
    assert answer.status_code == 200
    return answer.content.decode()


def subjects(visit: Visit, person: Any, path: str, **query: str) -> list[str]:
    answer = visit(person).get(path, query)
    assert answer.status_code == 200
    return [line.message.subject for line in answer.context["page"].lines]


def decide(visit: Visit, person: Any, act: str, *rows: OutboxMessage, path: str = "decide") -> Any:
    data = {"act": act, "ids": [row.pk for row in rows], "next": "/delivery/outbox"}
    return visit(person).post(f"/delivery/{path}", data, follow=True)


def state(row: OutboxMessage) -> str:
    return OutboxMessage.objects.get(pk=row.pk).state


def test_a_person_sees_its_accounts_and_what_it_sent_by_the_default_sender(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    of_account = put_out(people.member, "Of the account", account=account)
    by_itself = put_out(people.member, "By the default sender")
    people.delegate(account, people.reader)
    assert subjects(visit, people.member, "/delivery") == [by_itself.subject, of_account.subject]
    assert subjects(visit, people.reader, "/delivery") == [of_account.subject]
    for person in (people.owner, people.admin, people.teammate, people.stranger, people.namesake):
        assert subjects(visit, person, "/delivery") == []
        for row in (of_account, by_itself):
            assert visit(person).get(f"/delivery/messages/{row.pk}").status_code == 404
        query = {"account": str(account.pk)}
        assert visit(person).get("/delivery", query).status_code == 404


def test_only_those_who_may_send_may_decide(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    row = put_out(people.member, "Hello", account=account)
    people.delegate(account, people.reader)
    people.delegate(account, people.viewer, may_send=True)
    for person, status in ((people.reader, 404), (people.viewer, 403), (people.stranger, 404)):
        if person is not people.stranger:
            assert "/delivery/decide" not in shown(
                visit, person, f"/delivery/messages/{row.pk}"
            ).replace("next", "")
            assert "checkbox" not in shown(visit, person, "/delivery/outbox")
        for act in ("cancel", "retry", "delete", "send-again", "mark-sent"):
            for path in ("decide", "ask"):
                assert decide(visit, person, act, row, path=path).status_code == status
    assert state(row) == OutboxState.QUEUED
    people.delegate(account, people.sender, may_send=True)
    assert (
        b"1 message cancelled." in decide(visit, people.sender, "cancel", row, path="ask").content
    )
    assert state(row) == OutboxState.CANCELLED


def test_each_list_has_what_it_says(people: People, visit: Visit) -> None:
    for each in OutboxState:
        put_out(people.member, each.value, each)
    of = {path: set(subjects(visit, people.member, path)) for path in LISTS}
    assert of["/delivery"] == set(OutboxState.values)
    assert of["/delivery/outbox"] == {"queued", "sending", "deferred", "uncertain"}
    assert of["/delivery/scheduled"] == {"scheduled"}
    assert of["/delivery/dead-letters"] == {"failed", "dead"}
    assert 'hx-trigger="every 2s"' in shown(visit, people.member, "/delivery/outbox")
    assert "hx-trigger" not in shown(visit, people.member, "/delivery/dead-letters")


def test_the_address_says_what_is_looked_for(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    first = put_out(people.member, "First", to=("Ann@example.org", "bo@example.org"))
    put_out(people.member, "Second", OutboxState.SENT, account=account, to=("cy@example.org",))
    for query, found in (
        ({"address": "ann@EXAMPLE"}, ["First"]),
        ({"address": account.email_address}, ["Second"]),
        ({"address": "nobody@"}, []),
        ({"state": "sent"}, ["Second"]),
        ({"state": "no such state"}, ["Second", "First"]),
        ({"message_id": first.message_id}, ["First"]),
        ({"message_id": f" {first.message_id.strip('<>')} "}, ["First"]),
        ({"account": str(account.pk)}, ["Second"]),
        ({"address": "example.org", "state": "queued"}, ["First"]),
    ):
        assert subjects(visit, people.member, "/delivery", **query) == found, query
    page = shown(visit, people.member, "/delivery", address="bo@example.org", state="queued")
    assert 'value="bo@example.org"' in page
    assert "/delivery?state=sent&amp;address=bo%40example.org" in page
    assert "Show all of Email log" in shown(visit, people.member, "/delivery", address="nobody@")


def test_pages_follow_one_another(people: People, visit: Visit) -> None:
    soon = timezone.now() + timedelta(hours=1)
    for number in range(60):
        moment = soon + timedelta(minutes=number % 7)
        put_out(people.member, f"m{number}", OutboxState.SCHEDULED, send_at=moment)
    for path in ("/delivery", "/delivery/scheduled"):
        address, seen = path, []
        while address:
            answer = visit(people.member).get(address)
            seen += [line.message for line in answer.context["page"].lines]
            address = answer.context["page"].older
        assert len({row.pk for row in seen}) == len(seen) == 60
        if path == "/delivery/scheduled":
            assert seen == sorted(seen, key=lambda row: row.send_at)
    assert visit(people.member).get("/delivery?cursor=nonsense").status_code == 400


def test_a_message_shows_whom_it_reached_and_every_try(people: People, visit: Visit) -> None:
    row = put_out(
        people.member,
        "Offer <b>",
        OutboxState.SENT,
        to=("bo@example.org", "no@example.org"),
        reply="250 2.0.0 Taken",
        accepted=["bo@example.org"],
        refused={"no@example.org": "550 5.1.1 No such <user>"},
    )
    page = shown(visit, people.member, f"/delivery/messages/{row.pk}")
    for words in ("Offer &lt;b&gt;", "Accepted", "Refused", "550 5.1.1 No such &lt;user&gt;",
                  "250 2.0.0 Taken", row.message_id.strip("<>")):  # fmt: skip
        assert words in page
    assert "The words of the message itself" not in page
    assert page.count('name="act"') == page.count("Send to the others") == 1
    decide(visit, people.member, "retry", row)
    assert state(row) == OutboxState.QUEUED
    reached = put_out(people.member, "All", OutboxState.SENT, accepted=["bo@example.org"])
    assert 'name="act"' not in shown(visit, people.member, f"/delivery/messages/{reached.pk}")


def test_what_is_destroyed_is_asked_about_once(people: People, visit: Visit) -> None:
    rows = [put_out(people.member, f"m{number}") for number in range(3)]
    asked = decide(visit, people.member, "cancel", *rows)
    assert b"Cancel 3 messages?" in asked.content
    assert {state(row) for row in rows} == {"queued"}
    done = decide(visit, people.member, "cancel", *rows, path="ask")
    assert done.redirect_chain == [("/delivery/outbox", 303)]
    assert b"3 messages cancelled." in done.content
    assert {state(row) for row in rows} == {"cancelled"}


def test_dead_letters_are_requeued_and_deleted(people: People, visit: Visit) -> None:
    rows = [
        put_out(
            people.member, f"m{number}", OutboxState.FAILED, reply="554 5.7.1 We do not like it"
        )
        for number in range(4)
    ]
    page = shown(visit, people.member, "/delivery/dead-letters")
    assert page.count("554 5.7.1 We do not like it") == 4
    assert b"2 messages queued again." in decide(visit, people.member, "retry", *rows[:2]).content
    assert [state(row) for row in rows] == ["queued", "queued", "failed", "failed"]
    assert b"Delete 1 dead letter?" in decide(visit, people.member, "delete", rows[2]).content
    decide(visit, people.member, "delete", rows[2], path="ask")
    assert DeadLetter.objects.get().message == rows[3]
    assert not OutboxContent.objects.filter(pk=rows[2].pk).exists()
    left = shown(visit, people.member, f"/delivery/messages/{rows[2].pk}")
    assert "Its text is kept no more." in left
    assert 'value="retry"' not in left


def test_an_uncertain_one_is_sent_again_after_a_warning_alone(people: People, visit: Visit) -> None:
    row = put_out(people.member, "Hello", OutboxState.UNCERTAIN, reply="The connection was lost.")
    other = put_out(people.member, "Other", OutboxState.DEFERRED)
    page = shown(visit, people.member, f"/delivery/messages/{row.pk}")
    assert "Nobody knows whether it arrived." in page
    for act in ("retry", "send-again"):
        asked = decide(visit, people.member, act, row, other).content.decode()
        assert "Somebody may get them twice." in asked
        assert (state(row), state(other)) == ("uncertain", "deferred")
    decide(visit, people.member, "send-again", row, other, path="ask")
    assert (state(row), state(other)) == ("queued", "queued")


def test_an_uncertain_one_that_arrived_is_counted_as_sent(people: People, visit: Visit) -> None:
    row = put_out(people.member, "Hello", OutboxState.UNCERTAIN, reply="The connection was lost.")
    assert b"Count 1 message as sent?" in decide(visit, people.member, "mark-sent", row).content
    decide(visit, people.member, "mark-sent", row, path="ask")
    page = shown(visit, people.member, f"/delivery/messages/{row.pk}")
    assert "Accepted" in page
    again = decide(visit, people.member, "mark-sent", row, path="ask")
    assert b"It is not uncertain: it is sent." in again.content


def test_a_message_of_an_account_can_be_edited_again(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    client = visit(people.member)
    for each in (OutboxState.SCHEDULED, OutboxState.FAILED):
        row = put_out(people.member, f"Was {each}", each, account=account)
        undo = f"/mail/outgoing/{row.pk}/undo"
        assert undo in shown(visit, people.member, f"/delivery/messages/{row.pk}")
        page = client.post(undo, follow=True).content.decode()
        assert f"Was {each}" in page
        assert "The words of the message itself." in page
    by_itself = put_out(people.member, "By the default sender")
    page = shown(visit, people.member, f"/delivery/messages/{by_itself.pk}")
    assert "/mail/outgoing/" not in page


def test_what_comes_too_late_is_said(people: People, visit: Visit) -> None:
    rows = [put_out(people.member, "Gone", OutboxState.SENT), put_out(people.member, "Here")]
    done = decide(visit, people.member, "cancel", *rows, path="ask").content
    assert b"1 message cancelled." in done
    assert b"1 of 2 messages: It cannot be cancelled any more: it is sent." in done
    assert b"Choose messages first." in decide(visit, people.member, "cancel").content
    assert decide(visit, people.member, "burn", rows[0]).status_code == 400


def test_looking_changes_nothing_and_leads_nowhere_else(people: People, visit: Visit) -> None:
    row = put_out(people.member, "Hello")
    client = visit(people.member)
    assert client.get("/delivery/decide").status_code == 405
    client.get(f"/delivery/ask?act=cancel&ids={row.pk}")
    assert state(row) == "queued"
    for address in ("https://evil.example/delivery", "//evil.example", "/admin/", "javascript:1"):
        data = {"act": "cancel", "ids": row.pk, "next": address}
        assert client.post("/delivery/ask", data)["Location"] == "/delivery"


def test_the_first_page_names_what_waits_for_a_decision(people: People, visit: Visit) -> None:
    assert "Needs attention" not in shown(visit, people.member, "/")
    for number in range(2):
        put_out(people.member, f"m{number}", OutboxState.DEAD, reply=f"421 {number} Too busy")
    put_out(people.member, "Hello", OutboxState.UNCERTAIN, reply="The connection was lost.")
    page = shown(visit, people.member, "/")
    assert "<strong>2 messages</strong> reached nobody" in page
    assert "421 1 Too busy" in page
    assert "<strong>1 message</strong> arrived is not known" in page
    for person in (people.teammate, people.owner, people.stranger):
        assert "reached nobody" not in shown(visit, person, "/")


def test_empty_lists_teach_the_next_step(people: People, visit: Visit) -> None:
    for path in LISTS:
        assert "<h2>" in shown(visit, people.member, path)
    assert "/mail/connect" in shown(visit, people.member, "/delivery")
    assert "/mail/connect" not in shown(visit, people.viewer, "/delivery")


def test_a_list_costs_as_many_queries_for_one_message_as_for_fifty(
    people: People, visit: Visit, account: EmailAccount
) -> None:
    client = visit(people.member)

    def cost(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        return len(queries)

    for each in OutboxState:
        put_out(people.member, each.value, each, account=account)
    before = [cost(path) for path in LISTS]
    for number in range(12):
        other = people.connect_account(people.member, email_address=f"{number}@acme.example")
        for each in (OutboxState.QUEUED, OutboxState.SCHEDULED, OutboxState.FAILED):
            put_out(people.member, f"{each}{number}", each, account=other)
    assert [cost(path) for path in LISTS] == before
    assert max(before) <= 14

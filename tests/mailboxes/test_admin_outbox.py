"""The admin's pages of messages on their way out: envelopes, tries, and what operators may do."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import EmailAccount, User
from mailboxes.models import DeadLetter, OutboxContent, OutboxMessage, OutboxState
from tests.mailboxes.outgoing import put_out
from tests.people import People

PAGES = ("outboxmessage", "sendattempt", "deadletter", "outboxlane")
ROOT = "/admin/mailboxes"


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(
        User.objects.create_superuser("operator", "op@example.org", "x"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


def act(operator: Client, page: str, name: str, *ids: int) -> str:
    data = {"action": name, "_selected_action": [str(pk) for pk in ids]}
    return operator.post(f"{ROOT}/{page}/", data, follow=True).content.decode()


def state(row: OutboxMessage) -> str:
    return OutboxMessage.objects.get(pk=row.pk).state


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_without_a_query_a_row(
    operator: Client, people: People, page: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        address = f"{number}@acme.example"
        account = people.connect_account(people.member, email_address=address)
        put_out(people.member, f"m{number}", OutboxState.FAILED, account=account, reply="554 No")
    with django_assert_max_num_queries(14):
        assert operator.get(f"{ROOT}/{page}/").status_code == 200
    assert operator.get(f"{ROOT}/{page}/?q=x").status_code == 200
    assert operator.get(f"{ROOT}/{page}/add/").status_code == 403


def test_operators_see_envelope_and_outcome_alone(
    operator: Client, people: People, account: EmailAccount
) -> None:
    row = put_out(
        people.member,
        "The <b>subject",
        OutboxState.DEFERRED,
        account=account,
        to=("ann@example.org", "bo@example.org", "cy@example.org"),
        reply="451 4.7.1 Greylisted <i>",
    )
    for address in (f"{ROOT}/outboxmessage/", f"{ROOT}/outboxmessage/{row.pk}/change/"):
        page = operator.get(address).content.decode()
        assert "The &lt;b&gt;subject" in page
        assert "ann@example.org, bo@example.org and 1 more" in page
        assert "451 4.7.1 Greylisted &lt;i&gt;" in page
        assert "The words of the message itself" not in page
    assert operator.get(f"{ROOT}/outboxcontent/").status_code == 404


def test_a_message_is_found_by_its_id_its_account_and_a_recipient(
    operator: Client, people: People, account: EmailAccount
) -> None:
    row = put_out(people.member, "Found", account=account, to=("ann@example.org",))
    put_out(people.member, "Other")
    for text in (row.message_id, account.email_address, "ann@"):
        page = operator.get(f"{ROOT}/outboxmessage/", {"q": text}).content.decode()
        assert "Found" in page
        assert "Other" not in page


def test_messages_are_cancelled_and_sent_again(operator: Client, people: People) -> None:
    waiting = put_out(people.member, "Waiting")
    failed = put_out(people.member, "Failed", OutboxState.FAILED, reply="554 No")
    uncertain = put_out(people.member, "In doubt", OutboxState.UNCERTAIN)
    ids = [row.pk for row in (waiting, failed, uncertain)]
    page = act(operator, "outboxmessage", "send_again", *ids)
    assert "1 message queued again." in page
    assert "It cannot be sent again: it is queued." in page
    assert "somebody may have got it already" in page
    page = act(operator, "outboxmessage", "cancel", *ids)
    assert "2 messages cancelled." in page
    assert [state(row) for row in (waiting, failed, uncertain)] == [
        *("cancelled", "cancelled", "uncertain"),
    ]


def test_dead_letters_are_requeued_and_deleted(operator: Client, people: People) -> None:
    rows = [put_out(people.member, f"m{n}", OutboxState.DEAD, reply="421 No") for n in range(2)]
    first, second = (DeadLetter.objects.get(message=row).pk for row in rows)
    assert "1 message queued again." in act(operator, "deadletter", "requeue", first)
    assert "1 dead letter deleted." in act(operator, "deadletter", "drop", second)
    assert [state(row) for row in rows] == ["queued", "dead"]
    assert not DeadLetter.objects.exists()
    assert list(OutboxContent.objects.values_list("pk", flat=True)) == [rows[0].pk]

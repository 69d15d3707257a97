"""Double opt-in from the addition to the yes: the question leaves by the outbox, once."""

from __future__ import annotations

import re
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import Membership
from contacts.models import Contact, ContactList, ContactStatus, ListMember, MemberState, OptIn
from contacts.tokens import Purpose, write_token
from mailboxes.models import OutboxMessage
from mailhub.opt_in import ask_to_confirm
from tests.people import People

ANN = "ann@example.com"


@pytest.fixture
def news(people: People, settings: Settings) -> ContactList:
    """A list that asks first, by the installation's own server."""
    settings.SMTP_SERVER = "127.0.0.1"
    return ContactList.objects.create(
        tenant=people.tenant,
        name="News & more",
        opt_in=OptIn.DOUBLE,
        from_email="news@example.org",
        created_by=people.member.user,
    )


def add(people: People, contact_list: ContactList, *emails: str) -> None:
    answer = people.member.api.post(f"/api/lists/{contact_list.pk}/members", {"emails": emails})
    assert answer.status_code == 200


def questions() -> list[Message]:
    """What waits in the outbox, oldest first."""
    rows = OutboxMessage.objects.order_by("pk").select_related("content")
    return [message_from_bytes(bytes(row.content.wire)) for row in rows]


def link_in(question: Message) -> str:
    """The address of the page that the question names, without the host."""
    text = question.get_payload(decode=True)
    assert isinstance(text, bytes)
    found = re.search(r"http://localhost:8000(/confirm/\S+)", text.decode())
    assert found
    return found[1]


def state_of(email: str) -> str:
    return str(ListMember.objects.get(contact__email=email).state)


def test_a_person_is_asked_once_and_says_yes_on_a_page(people: People, news: ContactList) -> None:
    add(people, news, ANN)
    assert ask_to_confirm() == 1
    assert ask_to_confirm() == 0
    (question,) = questions()
    assert question["To"] == ANN
    assert question["From"] == "Acme <news@example.org>"
    assert question["Subject"] == "Please confirm: News & more"
    assert question["Auto-Submitted"] == "auto-generated"
    page = Client(enforce_csrf_checks=True)
    for _ in range(2):
        shown = page.get(link_in(question))
        assert "Yes, put me on the list" in shown.text
        assert "News &amp; more" in shown.text
    assert state_of(ANN) == MemberState.PENDING
    for _ in range(2):
        assert "You are on the list" in page.post(link_in(question)).text
    assert state_of(ANN) == MemberState.SUBSCRIBED
    assert "You are on the list" in page.get(link_in(question)).text
    assert not page.cookies
    assert ListMember.objects.get().confirmed_at is not None


def test_the_page_is_kept_nowhere(people: People, news: ContactList) -> None:
    add(people, news, ANN)
    ask_to_confirm()
    answer = Client().get(link_in(questions()[0]))
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-Robots-Tag"] == "noindex"


def test_links_that_are_not_ours_or_too_old_say_so(people: People, news: ContactList) -> None:
    add(people, news, ANN)
    ask_to_confirm()
    link = link_in(questions()[0])
    member = ListMember.objects.get()
    for_another_thing = f"/confirm/{write_token(Purpose.PREFERENCES, member.pk)}"
    for broken in (link[:-1], "/confirm/x", "/confirm/1.2.3", for_another_thing):
        answer = Client().post(broken)
        assert answer.status_code == 404
        assert "This link does not work" in answer.text
    with time_machine.travel(timezone.now() + timedelta(days=31)):
        assert Client().post(link).status_code == 404
    assert state_of(ANN) == MemberState.PENDING


def test_an_old_link_brings_nobody_back(people: People, news: ContactList) -> None:
    add(people, news, ANN)
    ask_to_confirm()
    link = link_in(questions()[0])
    Client().post(link)
    people.member.api.patch(f"/api/lists/{news.pk}/members/{ANN}", {"state": "unsubscribed"})
    assert "You have left this list" in Client().post(link).text
    assert state_of(ANN) == MemberState.UNSUBSCRIBED


def test_nobody_is_asked_again_within_a_day(people: People, news: ContactList) -> None:
    add(people, news, ANN)
    ask_to_confirm()
    add(people, news, ANN)
    assert ask_to_confirm() == 0
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        add(people, news, ANN)
        assert ask_to_confirm() == 1


@pytest.mark.parametrize("status", ["unsubscribed", "bounced", "complained"])
def test_who_must_not_be_mailed_is_not_asked(
    people: People, news: ContactList, status: ContactStatus
) -> None:
    Contact.objects.create(tenant=people.tenant, email=ANN, status=status)
    add(people, news, ANN, "bob@example.com")
    people.member.api.post("/api/suppressions", {"email": "bob@example.com"})
    assert ask_to_confirm() == 0
    assert not OutboxMessage.objects.exists()
    assert not ListMember.objects.exclude(ask_at=None).exists()


def test_a_list_that_cannot_ask_says_why_and_asks_later(
    people: People, news: ContactList, settings: Settings
) -> None:
    settings.SMTP_SERVER = ""
    add(people, news, ANN)
    assert ask_to_confirm() == 0
    shown = people.member.api.get(f"/api/lists/{news.pk}").json()
    assert "no sender of its own" in shown["trouble"]
    settings.SMTP_SERVER = "127.0.0.1"
    assert ask_to_confirm() == 0
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert ask_to_confirm() == 1
    assert people.member.api.get(f"/api/lists/{news.pk}").json()["trouble"] == ""


def test_by_an_account_it_goes_in_its_owners_name(people: People) -> None:
    account = people.connect_account(people.member)
    fields: dict[str, Any] = {"name": "News", "opt_in": "double", "account_id": str(account.pk)}
    key = people.member.api.post("/api/lists", fields).json()["id"]
    add(people, ContactList.objects.get(pk=key), ANN)
    assert ask_to_confirm() == 1
    row = OutboxMessage.objects.get()
    assert (row.account, row.user) == (account, people.member.user)
    assert questions()[0]["From"] == f"Acme <{account.email_address}>"


def test_who_made_the_list_may_have_left(people: People, news: ContactList) -> None:
    add(people, news, ANN, "bob@example.com")
    Membership.objects.filter(user=people.member.user).delete()
    assert ask_to_confirm() == 0
    assert "Nobody is left" in ContactList.objects.get().trouble
    owner = people.owner
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert ask_to_confirm() == 2
    assert {row.user for row in OutboxMessage.objects.all()} == {owner.user}

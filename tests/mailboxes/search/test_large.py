"""Searching accounts of many messages: rare words and frequent ones, large folders and small."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from accounts.models import EmailAccount
from mailboxes.message_filter import MessageFilter
from mailboxes.message_list import list_messages
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.search.query import read_query
from tests.mailboxes.search.messages import DAY
from tests.people import People

# Words of subjects, and of how many messages each is in one.
APART = {"often": 2, "sometimes": 7, "seldom": 211, "hardly": 1201}


def holds(apart: int) -> Callable[[int], bool]:
    """Whether it is among every so many."""
    return lambda number: number % apart == 0


def read_through(account: EmailAccount, text: str, size: int) -> list[int]:
    """The primary keys on all pages of a search; each page but the last is full."""
    wanted = MessageFilter(query=read_query(text))
    keys: list[int] = []
    after: tuple[datetime, int] | None = None
    while page := list_messages([account.pk], wanted, after=after, size=size):
        assert len(keys) % size == 0, text
        keys += [row.pk for row in page]
        after = page[-1].received_at, page[-1].pk
    return keys


@pytest.mark.django_db
def test_rare_and_frequent_words_of_a_large_account(account: EmailAccount) -> None:
    # More than PostgreSQL looks at one by one.
    Message.objects.bulk_create(
        Message(
            account=account,
            subject="rare old" if number in (5, 7) else "often",
            received_at=DAY + timedelta(minutes=number),
            size=1,
        )
        for number in range(5200)
    )

    def arrivals(text: str, after: tuple[datetime, int] | None = None) -> list[datetime]:
        wanted = MessageFilter(query=read_query(text))
        return [row.received_at for row in list_messages([account.pk], wanted, after=after, size=3)]

    def minutes(*numbers: int) -> list[datetime]:
        return [DAY + timedelta(minutes=number) for number in numbers]

    assert arrivals("often") == minutes(5199, 5198, 5197)
    assert arrivals("rare") == minutes(7, 5)
    assert arrivals("often", after=(DAY + timedelta(minutes=6), 0)) == minutes(4, 3, 2)
    assert arrivals("rare", after=(DAY + timedelta(minutes=7), 0)) == minutes(5)
    assert arrivals("rare since:2026-11-02") == []
    assert arrivals("often since:2026-11-04") == minutes(5199, 5198, 5197)


@pytest.mark.django_db
def test_a_mailbox_of_busy_weeks_silent_years_and_a_far_future(people: People) -> None:
    account, other = people.connect_account(people.member), people.connect_account(people.namesake)
    moments = [DAY - timedelta(days=4000 - number // 3) for number in range(900)]
    moments += [DAY - timedelta(days=700, minutes=number) for number in range(1500)]
    moments += [DAY + timedelta(days=900 * number) for number in range(4)]
    subjects = {
        at: f"number{at} " + " ".join(name for name, apart in APART.items() if at % apart == 0)
        for at in range(len(moments))
    }
    # Of a small account among a large one's, found by its own words, too.
    owners = {at: other if at % 50 == 7 else account for at in subjects}
    rows = Message.objects.bulk_create(
        Message(account=owners[at], subject=subject, received_at=moments[at], size=1)
        for at, subject in subjects.items()
    )
    newest_first = sorted(subjects, key=lambda at: (moments[at], rows[at].pk), reverse=True)

    def check(owner: EmailAccount, text: str, size: int, expected: Callable[[int], bool]) -> None:
        wanted = [rows[at].pk for at in newest_first if owners[at] == owner and expected(at)]
        assert read_through(owner, text, size) == wanted, text

    for owner in (account, other):
        for name, apart in APART.items():
            check(owner, name, 300, holds(apart))
        check(owner, "seldom", 2, lambda at: at % 211 == 0)
        check(owner, "often seldom", 7, lambda at: at % 422 == 0)
        check(owner, "num*", 900, lambda at: True)
        check(owner, "numb* seldom", 3, lambda at: at % 211 == 0)
        check(owner, "numb* -often", 700, lambda at: at % 2 == 1)
        check(owner, "oft*", 400, lambda at: at % 2 == 0)
        check(owner, "nothing*", 5, lambda at: False)
        check(owner, '"often sometimes"', 40, lambda at: at % 14 == 0)
        check(owner, "often after:2026", 3, lambda at: at % 2 == 0 and moments[at].year >= 2026)
        check(owner, "seldom before:2018", 3, lambda at: at % 211 == 0 and moments[at].year < 2018)


@pytest.fixture
def sorted_in(account: EmailAccount) -> list[Message]:
    """300 messages, two a second, and so many folders and flags that some leave few of them."""
    rows = Message.objects.bulk_create(
        Message(
            account=account,
            subject=f"item{number} " + ("often" if number % 2 else "seldom"),
            sender_text="Ada" if number % 3 else "Bob",
            received_at=DAY + timedelta(seconds=number // 2),
            size=1,
        )
        for number in range(300)
    )
    large = Folder.objects.create(account=account, path="Large")
    small = Folder.objects.create(account=account, path="Small")
    FolderEntry.objects.bulk_create(
        FolderEntry(
            folder=folder,
            account=account,
            message=rows[number],
            uid=number + 1,
            received_at=rows[number].received_at,
            is_seen=number % 20 != 0,
            is_flagged=number % 5 == 0,
        )
        for folder, step in ((large, 1), (small, 10))
        for number in range(0, 300, step)
    )
    return rows


def test_words_are_found_alike_in_folders_of_any_size(
    account: EmailAccount, sorted_in: list[Message]
) -> None:
    def check(text: str, expected: Callable[[int], bool]) -> None:
        wanted = [row.pk for number, row in enumerate(sorted_in) if expected(number)]
        assert read_through(account, text, 70) == wanted[::-1], text

    check("often in:large", lambda at: at % 2 == 1)
    check("seldom in:small", lambda at: at % 10 == 0)
    check("-often in:small is:unread", lambda at: at % 20 == 0)
    check("-often is:unread", lambda at: at % 20 == 0)
    check("from:ada in:large is:flagged", lambda at: at % 5 == 0 and at % 3 > 0)
    check("often is:flagged in:small", lambda at: False)
    check('"item20" in:small', lambda at: at == 20)
    check("item*", lambda at: True)
    check("item* from:bob", lambda at: at % 3 == 0)
    check("ite* in:small", lambda at: at % 10 == 0)
    check("ite* -in:small", lambda at: at % 10 > 0)
    check("ite* is:flagged in:large", lambda at: at % 5 == 0)
    check("ite* before:2026-11-02", lambda at: True)
    check("ite* before:2026-11-01", lambda at: False)

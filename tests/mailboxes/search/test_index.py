"""The index of words: it follows every change, can be made anew, and takes any text."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import EmailAccount
from mailboxes.message_filter import MessageFilter
from mailboxes.message_list import list_messages
from mailboxes.models import Message
from mailboxes.search.index import create_index, place_after, place_of, remove_index
from mailboxes.search.query import read_query
from tests.mailboxes.search.messages import DAY, add_message, found
from tests.people import People


@pytest.mark.django_db
def test_the_index_follows_every_change(account: EmailAccount, people: People) -> None:
    Message.objects.bulk_create(
        Message(account=account, subject=f"Bulk {number}", received_at=DAY, size=1)
        for number in range(3)
    )
    assert found(account, "bulk") == ["Bulk 2", "Bulk 1", "Bulk 0"]
    rows = Message.objects.filter(subject="Bulk 1")
    rows.update(text="later body")
    assert found(account, "body") == ["Bulk 1"]
    rows.update(text="other words", sender_text="Zoe zoe@example.org", recipient_text="Yan")
    assert found(account, "body") == []
    assert found(account, "from:zoe to:yan words") == ["Bulk 1"]
    rows.update(received_at=DAY + timedelta(days=1))
    assert found(account, "bulk")[0] == "Bulk 1"
    message = rows.get()
    message.subject = "Saved 東京"
    message.save()
    assert found(account, "bulk") == ["Bulk 2", "Bulk 0"]
    assert found(account, "東京") == ["Saved 東京"]
    other = people.connect_account(people.teammate)
    Message.objects.filter(pk=message.pk).update(account=other)
    assert found(account, "saved") == []
    assert found(other, "saved") == ["Saved 東京"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messages SET subject = 'Raw' WHERE subject = 'Bulk 2'")
        cursor.execute("DELETE FROM messages WHERE subject = 'Bulk 0'")
    assert found(account, "raw") == ["Raw"]
    assert found(account, "bulk") == []
    Message.objects.all().delete()
    assert index_size() == 0


@pytest.mark.django_db
def test_a_phrase_lies_in_one_field(account: EmailAccount) -> None:
    add_message(account, "one", sender_text="two", recipient_text="three", text="four five")
    assert found(account, "one two three four") == ["one"]
    for phrase in ('"one two"', '"two three"', '"two one"', '"three four"', '"one four"'):
        assert found(account, phrase) == []
    assert found(account, '"four five"') == ["one"]


@pytest.mark.django_db
def test_what_is_rolled_back_is_not_found(account: EmailAccount) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        add_message(account, "Never")
        1 / 0  # noqa: B018 - it raises
    assert found(account, "never") == []


@pytest.mark.django_db
def test_with_its_account_a_message_leaves_the_index(account: EmailAccount) -> None:
    add_message(account, "Alpha", text="東京")
    account.delete()
    assert index_size() == 0


def index_size() -> int:
    """Rows of the index, whoever they belong to; on SQLite those that hold any account."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT count(*) FROM message_search WHERE message_search MATCH %s", [
                " OR ".join(f'account : "{digit}" *' for digit in "0123456789abcdef")
            ])  # fmt: skip
        else:
            cursor.execute("SELECT count(*) FROM message_search")
        [count] = cursor.fetchone()
    return int(count)


@pytest.mark.django_db
def test_an_index_is_made_of_what_is_there_and_removed_whole(account: EmailAccount) -> None:
    migration = importlib.import_module("mailboxes.migrations.0002_search_index")
    assert migration.Migration.operations[0].reversible
    remove_index(connection)
    add_message(account, "Unindexed")
    assert "message_search" not in connection.introspection.table_names()
    create_index(connection)
    assert found(account, "unindexed") == ["Unindexed"]
    create_index(connection)
    assert found(account, "unindexed") == ["Unindexed"]
    add_message(account, "Indexed")
    assert found(account, "indexed") == ["Indexed"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite knows no TRUNCATE")
def test_an_emptied_table_empties_the_index(account: EmailAccount) -> None:
    add_message(account, "Alpha")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE messages CASCADE")
    assert index_size() == 0


@pytest.fixture
def one_of_each(account: EmailAccount) -> EmailAccount:
    add_message(account, "Invoice", text="alpha 東京 'quoted' \"double\" a*b", sender_text="Ada")
    return account


signs = st.sampled_from([*list("\"'*():^-+{}[]&|!<>\\%_;$\x00 \t\n�"), "AND", "NOT", "NEAR("])
hostile = st.lists(
    signs | st.text(max_size=5) | st.sampled_from(["from:", "to:", "is:", "in:", "東", "a"]),
    max_size=12,
).map("".join)


@pytest.mark.django_db
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(hostile | st.text())
def test_no_text_makes_a_search_fail(one_of_each: EmailAccount, text: str) -> None:
    wanted = MessageFilter(query=read_query(text))
    rows = list_messages([one_of_each.pk], wanted, after=(DAY, 2**40), size=3)
    assert all(row.subject == "Invoice" for row in rows)


@pytest.mark.django_db
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_stored_changed_and_forgotten(one_of_each: EmailAccount, text: str) -> None:
    message = add_message(one_of_each, text, text=text, sender_text=text)
    Message.objects.filter(pk=message.pk).update(text=f"{text} zebra {text}")
    assert [
        row.pk for row in Message.objects.search(one_of_each.pk, read_query("zebra").words)
    ] == [message.pk]
    message.delete()
    assert found(one_of_each, "zebra") == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        "word " * 100_000,
        "東京都" * 80_000,
        "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(200_000)),
        "".join(chr(0x20000 + number * 7919 % 40000) for number in range(200_000)),
        " ".join(f"{number:x}" for number in range(60_000)),
        "x" * 250_000,
    ],
    ids=["words", "one-phrase", "all-pairs", "rare-pairs", "all-words", "one-word"],
)
def test_a_huge_text_is_stored_and_its_beginning_found(account: EmailAccount, text: str) -> None:
    subject = f"huge {text}"
    add_message(account, subject, text=f"zebra {text}", sender_text=text, recipient_text=text[99:])
    assert found(account, "zebra huge") == [subject]
    Message.objects.all().delete()
    assert found(account, "zebra") == []


def places() -> Iterator[tuple[datetime, int]]:
    for second in (0, 1, 2**31, 2**32 - 1):
        for pk in (1, 2, 2**31 - 1):
            yield datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second), pk


def test_places_are_in_the_order_of_the_list() -> None:
    found_places = [place_of(*position) for position in places()]
    assert found_places == sorted(set(found_places))
    assert found_places[0] == 1
    assert found_places[-1] < 2**63
    assert place_of(datetime.min.replace(tzinfo=UTC), 5) == 5
    assert place_after(datetime.max.replace(tzinfo=UTC)) == 2**63 - 1
    assert place_of(DAY, 2**31 - 1) < place_after(DAY) == place_of(DAY + timedelta(seconds=1), 0)


@pytest.mark.django_db
@pytest.mark.parametrize("position", [*places(), (datetime(1890, 1, 1, tzinfo=UTC), 77)])
def test_the_database_counts_places_alike(
    account: EmailAccount, position: tuple[datetime, int]
) -> None:
    received_at, pk = position
    add_message(account, "Alpha", pk=pk, received_at=received_at)
    [message] = Message.objects.search(account.pk, read_query("alpha").words)
    assert vars(message)["place"] == place_of(received_at, pk)

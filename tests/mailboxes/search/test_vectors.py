"""Words that a sync makes for PostgreSQL's index: to the octet what the database makes itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.models import EmailAccount
from mailboxes.models import Message
from mailboxes.search.filling import Indexed, index_messages, takes_vectors
from mailboxes.search.query import read_query
from mailboxes.search.vectors import LONGEST, vectors_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite's index is given texts, not vectors"
    ),
]

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)

WORDS = st.sampled_from(
    ["invoice", "Rechnung", "1e5", "12E34x", "0x1F", "7e", "e-mail", "account", "Account:1", "|"]
)
ACCENTED = st.text(
    st.characters(max_codepoint=0x52F, exclude_characters="\0", exclude_categories=["Cs"])
)
ANYTHING = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NUMBERS = st.from_regex(r"[0-9e.+\-a-f ]{0,20}", fullmatch=True)
TEXTS = st.one_of(
    st.lists(st.one_of(WORDS, NUMBERS, ACCENTED), max_size=12).map(" ".join),
    st.lists(st.one_of(WORDS, ANYTHING), max_size=12).map("".join),
)


def index_of(message: Message) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id, place, tsvectorsend(sender), tsvectorsend(recipients),"
            " tsvectorsend(subject), tsvectorsend(document) FROM message_search"
            " WHERE message_id = %s",
            [message.pk],
        )
        found: list[tuple[object, ...]] = cursor.fetchall()
    return found


def both_ways(
    account: EmailAccount, subject: str, sender: str, recipients: str, text: str
) -> tuple[object, object] | None:
    """What the database makes of a message, and what is made here; None: it is left to it."""
    vectors = vectors_of(subject, sender, recipients, text)
    if vectors is None:
        return None
    message = Message.objects.create(
        account=account,
        subject=subject,
        sender_text=sender,
        recipient_text=recipients,
        text=text,
        received_at=NOON,
        size=1,
    )
    theirs = index_of(message)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM message_search WHERE message_id = %s", [message.pk])
    index_messages(account.pk, [Indexed(message.pk, NOON, vectors)])
    return theirs, index_of(message)


def test_this_database_takes_them() -> None:
    assert takes_vectors()


@given(subject=TEXTS, sender=TEXTS, recipients=TEXTS, text=TEXTS)
@example(subject="", sender="", recipients="", text="")
@example(subject="Grüße aus Köln", sender="Zoë <zoe@example.org>", recipients="", text="ſtraße ½ ²")
@example(subject="Привет, мир", sender="Юля", recipients="Œuvre", text="№ 5 \u2028 ёлка™ 🎉 a🎉b")
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_they_are_those_that_the_database_makes(
    account: EmailAccount, subject: str, sender: str, recipients: str, text: str
) -> None:
    made = both_ways(account, subject, sender, recipients, text)
    assert made is None or made[0] == made[1]


@pytest.mark.parametrize(
    "text",
    [
        "the " * 254,
        "the " * 255,
        "the " * 256 + "end",
        "report the " * 600,
        "word " * 15_000,
        "x" * 2046 + " after",
        "abcd " * 8_000 + "beyond",
        " ".join(str(number) for number in range(6_000)),
    ],
)
@pytest.mark.parametrize("subject", ["The report", "the " * 200])
def test_they_keep_the_bounds_of_the_database(
    account: EmailAccount, subject: str, text: str
) -> None:
    made = both_ways(account, subject, "The sender", "the " * 40, text)
    assert made is not None
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "text", ["東京都", "ΟΔΟΣ", "नमस्ते", "x" * 2047, "a " * 20_000], ids=lambda text: text[:3]
)
def test_what_only_the_database_knows_is_left_to_it(text: str) -> None:
    assert vectors_of("Subject", "", "", text) is None
    assert vectors_of("a " * 200, "b", "c " * 60, "text") is None


def test_ordinary_mail_is_not_left_to_it() -> None:
    text = "Für Zoë: 5 € – “siehe” https://example.org/?a=1 … naïve façade 🎉 łódź ДЕНЬ"
    assert vectors_of("Re: [x] Übersicht", "Ada <ada@example.org>", "", text) is not None
    assert vectors_of("", "", "", "word " * (LONGEST["text"] // 5)) is not None


def test_a_message_with_other_words_than_it_was_given_is_indexed_anew(
    account: EmailAccount,
) -> None:
    vectors = vectors_of("Before", "", "", "")
    assert vectors is not None
    index_messages(account.pk, [Indexed(1, NOON, vectors)])
    message = Message.objects.create(
        pk=1, account=account, subject="Before", received_at=NOON, size=1
    )
    Message.objects.filter(pk=1).update(subject="After")
    words = {word: read_query(word).words for word in ("before", "after")}
    found = {word: Message.objects.search(account.pk, some) for word, some in words.items()}
    assert list(found["before"]) == []
    assert list(found["after"]) == [message]
    message.delete()
    assert index_of(message) == []

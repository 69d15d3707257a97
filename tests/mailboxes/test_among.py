"""Asking for many values at a time finds what asking for each would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailboxes.models import Message, ThreadKey
from tests.people import People

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def messages(people: People) -> list[Message]:
    account = people.connect_account(people.member)
    return [
        Message.objects.create(
            account=account,
            header_digest=f"{number:032d}",
            received_at=NOON + timedelta(seconds=number),
            size=1,
        )
        for number in range(3)
    ]


def test_texts_numbers_and_moments_are_found(messages: list[Message]) -> None:
    first, second, third = messages
    found = Message.objects.order_by("pk")
    digests = {first.header_digest, third.header_digest, "of none"}
    assert list(found.filter(header_digest__among=digests)) == [first, third]
    moments = [second.received_at, third.received_at, NOON - timedelta(days=1)]
    assert list(found.filter(received_at__among=moments)) == [second, third]
    assert list(found.filter(pk__among=[second.pk, second.pk])) == [second]
    assert list(found.exclude(pk__among=[second.pk])) == [first, third]


def test_a_value_longer_than_its_column_is_none_of_those_in_it(messages: list[Message]) -> None:
    assert not Message.objects.filter(header_digest__among=[messages[0].header_digest + "0"])


def test_among_nothing_is_nothing(messages: list[Message]) -> None:
    assert not Message.objects.filter(pk__among=[])
    assert Message.objects.exclude(pk__among=[]).count() == len(messages)
    assert not ThreadKey.objects.filter(digest__among=frozenset())

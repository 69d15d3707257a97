"""Any search of a large mailbox finds what reading every message would find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import EmailAccount
from mailboxes.message_filter import MessageFilter
from mailboxes.message_list import list_messages
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.search.query import read_query

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
# More flagged ones than are compared one by one, over two and a half years.
COUNT = 2_600
APART = timedelta(hours=8)
WORDS = ("alpha", "beta", "gamma", "alphabet", "delta", "rare")
WEIGHTS = (40, 30, 20, 8, 4, 0.1)


@dataclass(frozen=True)
class Letter:
    """A stored message, as this test reads it."""

    pk: int
    received_at: datetime
    subject: Sequence[str]
    sender: Sequence[str]
    text: Sequence[str]
    is_small: bool
    is_flagged: bool
    is_unread: bool

    @property
    def fields(self) -> tuple[Sequence[str], ...]:
        return self.subject, self.sender, self.text


Holds = Callable[[Letter], bool]


@pytest.fixture
def letters(account: EmailAccount) -> list[Letter]:
    """The newest first."""
    chance = Random(5)

    def some(most: int) -> list[str]:
        return chance.choices(WORDS, WEIGHTS, k=chance.randint(1, most))

    made = [(some(2), some(2), some(9)) for _ in range(COUNT)]
    rows = Message.objects.bulk_create(
        Message(
            account=account,
            subject=" ".join(subject),
            sender_text=" ".join(sender),
            text=" ".join(text),
            received_at=FIRST + number * APART,
            size=1,
        )
        for number, (subject, sender, text) in enumerate(made)
    )
    large = Folder.objects.create(account=account, path="Large")
    small = Folder.objects.create(account=account, path="Small")
    found = [
        Letter(
            row.pk,
            row.received_at,
            *made[number],
            is_small=number % 40 == 0,
            is_flagged=number % 6 > 0,
            is_unread=number % 7 == 0,
        )
        for number, row in enumerate(rows)
    ]
    FolderEntry.objects.bulk_create(
        FolderEntry(
            folder=small if letter.is_small else large,
            account=account,
            message_id=letter.pk,
            uid=letter.pk,
            received_at=letter.received_at,
            is_seen=not letter.is_unread,
            is_flagged=letter.is_flagged,
        )
        for letter in found
    )
    return found[::-1]


def follows(field: Sequence[str], words: Sequence[str], *, may_go_on: bool = False) -> bool:
    """Whether these words stand in the field one after the other."""
    for start in range(len(field) - len(words) + 1):
        *these, last = field[start : start + len(words)]
        ends = last.startswith(words[-1]) if may_go_on else last == words[-1]
        if these == list(words[:-1]) and ends:
            return True
    return False


@st.composite
def terms(draw: st.DrawFn) -> tuple[str, Holds]:
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    may_go_on = draw(st.booleans())
    place = draw(st.sampled_from(("", "", "", "subject:", "from:")))
    is_excluded = draw(st.integers(0, 3)) == 0
    text = f'{place}"{" ".join(words)}"{"*" * may_go_on}'

    def holds(letter: Letter) -> bool:
        fields = {"": letter.fields, "subject:": (letter.subject,), "from:": (letter.sender,)}
        return is_excluded is not any(
            follows(field, words, may_go_on=may_go_on) for field in fields[place]
        )

    return ("-" * is_excluded) + text, holds


STATES: tuple[tuple[str, Holds], ...] = (
    ("is:flagged", lambda letter: letter.is_flagged),
    ("-is:flagged", lambda letter: not letter.is_flagged),
    ("is:unread", lambda letter: letter.is_unread),
    ("in:small", lambda letter: letter.is_small),
    ("in:large", lambda letter: not letter.is_small),
    ("-in:large", lambda letter: letter.is_small),
    ("before:2025", lambda letter: letter.received_at.year < 2025),
    ("after:2025-09", lambda letter: letter.received_at >= datetime(2025, 9, 1, tzinfo=UTC)),
)


@pytest.mark.django_db
def test_any_search_finds_what_reading_every_message_would(
    account: EmailAccount, letters: list[Letter]
) -> None:
    @settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(
        asked=st.lists(terms(), min_size=1, max_size=3),
        states=st.lists(st.sampled_from(STATES), max_size=2),
        size=st.sampled_from((1, 7, 60, 201)),
    )
    def search(asked: list[tuple[str, Holds]], states: list[tuple[str, Holds]], size: int) -> None:
        everything = [*asked, *states]
        text = " ".join(part for part, _ in everything)
        wanted = MessageFilter(query=read_query(text))
        remaining = [
            letter.pk for letter in letters if all(holds(letter) for _, holds in everything)
        ]
        after: tuple[datetime, int] | None = None
        for _ in range(3):
            page = list_messages([account.pk], wanted, after=after, size=size)
            assert [row.pk for row in page] == remaining[:size], text
            remaining = remaining[size:]
            if not page:
                break
            after = page[-1].received_at, page[-1].pk

    search()

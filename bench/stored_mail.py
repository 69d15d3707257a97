"""A database full of made-up mail, written as rows: the same for the same numbers.

One large account in twenty folders has seven tenths of it, accounts of another tenant the
rest. Words follow Zipf's law over 40,000 of several scripts, so that the first is in nearly
every message and the last in a few hundred of a million. A text has about 1 kB.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import Any

from django.db import connection, transaction
from django.db.models import CharField, Model, TextField

from accounts.models import EmailAccount
from bench.bulk import without_indexes
from mailboxes.models import (
    Attachment,
    Folder,
    FolderEntry,
    Journal,
    Message,
    MessageChange,
    Thread,
)
from mailboxes.rows import insert_rows
from mailboxes.search.index import create_index, remove_index

VOCABULARY = 40_000
_DRAWN = 2**20
_AT_ONCE = 5_000
_FIRST = datetime(2016, 1, 1, tzinfo=UTC)
_YEARS = timedelta(days=3900)
# Role or "", path, share of an account's messages.
FOLDERS = (
    ("inbox", "INBOX", 0.4),
    ("archive", "Archive", 0.25),
    ("sent", "Sent", 0.1),
    ("junk", "Junk", 0.02),
    ("trash", "Trash", 0.01),
    ("drafts", "Drafts", 0.00005),
    *(("", f"Projects/{number}", 0.0157) for number in range(14)),
)
_ALPHABETS = (
    ("bcdfghjklmnprstvwz", "aeiou", 0.7),
    ("bdfgklmnprstz", "äöüéèa", 0.1),
    ("бвгдклмнпрстз", "аеиоуя", 0.1),
    ("βγδκλμνπρστ", "αειου", 0.05),
)


def vocabulary(chance: random.Random) -> list[str]:
    """Different words, the most frequent first; some of scripts without spaces."""
    found: dict[str, None] = {}
    shares = [share for *_, share in _ALPHABETS]
    while len(found) < VOCABULARY:
        if chance.random() < 0.05:
            word = "".join(chr(0x4E00 + chance.randrange(2000)) for _ in range(2))
        else:
            consonants, vowels, _ = chance.choices(_ALPHABETS, shares)[0]
            word = "".join(
                chance.choice(consonants) + chance.choice(vowels)
                for _ in range(chance.randint(2, 4))
            )
        found[word] = None
    return list(found)


@dataclass(frozen=True)
class Names:
    """What questions about the mail are asked with: words by rank, people by rank."""

    words: Sequence[str]
    people: Sequence[tuple[str, str]]


def names() -> Names:
    """The same in each process."""
    chance = random.Random(7)
    words = vocabulary(chance)
    latin = [word for word in words if word.isascii()]
    people = [
        (
            f"{chance.choice(latin).title()} {chance.choice(latin).title()}",
            f"{chance.choice(latin)}.{number}@{chance.choice(latin[:300])}.example",
        )
        for number in range(5000)
    ]
    return Names(words, people)


def fill(large: EmailAccount, others: Sequence[EmailAccount], count: int) -> None:
    """Write `count` messages into an empty database, then index them."""
    remove_index(connection)
    with without_indexes(Thread, Message, FolderEntry, Attachment, MessageChange):
        writer = _Writer(large, others, count)
        for start in range(0, count, _AT_ONCE):
            with transaction.atomic():
                writer.write(range(start + 1, min(start + _AT_ONCE, count) + 1))
        with transaction.atomic():
            writer.finish()
    with transaction.atomic():
        create_index(connection)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('messages', 'id'), max(id)) FROM messages"
            )


class _Writer:
    def __init__(self, large: EmailAccount, others: Sequence[EmailAccount], count: int) -> None:
        self._chance = random.Random(count)
        self._count = count
        self._accounts = [large, *others]
        self._names = names()
        ranks = range(1, VOCABULARY + 1)
        weights = list(accumulate(1 / rank for rank in ranks))
        self._words = self._chance.choices(self._names.words, cum_weights=weights, k=_DRAWN)
        self._people = self._chance.choices(
            self._names.people, [1 / rank for rank in range(1, 5001)], k=2**16
        )
        self._folders = {account.pk: _make_folders(account) for account in self._accounts}
        self._uids: dict[int, int] = {}
        self._recent: dict[Any, list[int]] = {account.pk: [] for account in self._accounts}
        # Account and newest arrival of each conversation.
        self._threads: dict[int, tuple[Any, datetime]] = {}

    def write(self, ids: range) -> None:
        """Messages with these ids, the later the newer, and all that belongs to them."""
        rows: dict[type, list[tuple[Any, ...]]] = {FolderEntry: [], Attachment: [], Message: []}
        for pk in ids:
            self._add(pk, rows)
        _insert(Message, _MESSAGE, rows[Message])
        _insert(FolderEntry, _ENTRY, rows[FolderEntry])
        _insert(Attachment, _ATTACHMENT, rows[Attachment])
        noted = datetime.now(UTC)
        _insert(
            MessageChange,
            ("message_id", "account_id", "sequence", "appeared", "is_removed", "noted_at"),
            [
                (row[0], row[1], row[0] // 100 + 1, row[0] // 100 + 1, False, noted)
                for row in rows[Message]
            ],
        )

    def finish(self) -> None:
        """What is known at the end alone."""
        for account in self._accounts:
            Journal.objects.create(account_id=account.pk, sequence=self._count // 100 + 1)
        threads = ((pk, *told) for pk, told in self._threads.items())
        while some := list(islice(threads, _AT_ONCE)):
            _insert(Thread, ("id", "account_id", "newest_at"), some)

    def _add(self, pk: int, rows: dict[type, list[tuple[Any, ...]]]) -> None:
        chance = self._chance
        account = self._accounts[
            0 if chance.random() < 0.7 else chance.randrange(1, len(self._accounts))
        ]
        moment = _FIRST + _YEARS * (pk / self._count)
        name, address = chance.choice(self._people)
        other, place = chance.choice(self._people)
        subject = " ".join([*chance.choices(self._words, k=chance.randint(2, 7)), f"case{pk}"])
        text = self._text()
        has_attachment = chance.random() < 0.15
        recent = self._recent[account.pk]
        if recent and chance.random() < 0.3:
            thread = chance.choice(recent)
        else:
            thread = pk
            self._recent[account.pk] = [*recent[-200:], pk]
        self._threads[thread] = (account.pk, moment)
        digest = f"{pk:032x}"
        rows[Message].append(
            (
                pk, account.pk, thread, f"<{pk}@bench.example>", subject,
                {"name": name, "address": address}, [{"name": other, "address": place}],
                f"{name} {address}", f"{other} {place}", moment, moment,
                chance.randrange(1500, 90_000), has_attachment, digest, digest * 2, "stored",
                moment, text[:140], text,
            )
        )  # fmt: skip
        places = chance.choices(
            self._folders[account.pk],
            [share for *_, share in FOLDERS],
            k=2 if chance.random() < 0.03 else 1,
        )
        is_seen, is_flagged = chance.random() < 0.85, chance.random() < 0.02
        for folder in set(places):
            uid = self._uids[folder] = self._uids.get(folder, 0) + 1
            rows[FolderEntry].append((folder, account.pk, pk, uid, moment, is_seen, is_flagged))
        if has_attachment:
            rows[Attachment].append((pk, 0, f"{subject[:20]}.pdf", "application/pdf", 20_000))

    def _text(self) -> str:
        words = self._chance.choices(self._words, k=self._chance.randint(40, 260))
        return ".\n".join(" ".join(words[at : at + 12]) for at in range(0, len(words), 12))


_MESSAGE = (
    "id", "account_id", "thread_id", "message_id", "subject", "sender", "to", "sender_text",
    "recipient_text", "date", "received_at", "size", "has_attachments", "header_digest",
    "raw_digest", "body_state", "created_at", "snippet", "text",
)  # fmt: skip
_ENTRY = ("folder_id", "account_id", "message_id", "uid", "received_at", "is_seen", "is_flagged")
_ATTACHMENT = ("message_id", "index", "filename", "content_type", "size")


def _insert(model: type[Model], names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Texts that are not named are empty."""
    texts = [
        field.attname
        for field in model._meta.concrete_fields
        if isinstance(field, CharField | TextField)
        and not field.has_default()
        and not field.null
        and field.attname not in names
    ]
    empty = ("",) * len(texts)
    insert_rows(model, (*names, *texts), [(*row, *empty) for row in rows])


def _make_folders(account: EmailAccount) -> list[int]:
    made = Folder.objects.bulk_create(
        Folder(account=account, path=path, role=role, delimiter="/") for role, path, _ in FOLDERS
    )
    return [folder.pk for folder in made]


def words_of_rank(chance: random.Random, known: Names, first: int, last: int) -> Iterator[str]:
    """Words of ASCII between two ranks, in random order, without an end."""
    words = [word for word in known.words[first:last] if word.isascii()]
    while True:
        yield chance.choice(words)

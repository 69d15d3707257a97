"""Mailboxes beside the copies that are kept of them: in memory, on Dovecot, of POP3, of Gmail."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.models import (
    Folder,
    FolderEntry,
    Message,
)
from mailboxes.pop3 import change_pop3_messages
from mailboxes.sync.control import Control, Interruption, Progress
from mailboxes.sync.engine import Order, Pass
from mailboxes.sync.pop3_pass import Pop3Pass
from mailboxes.wishes import Wish
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.stores.in_memory import InMemoryFolder, InMemoryMailServer, InMemoryStore
from mailhub.mail.stores.maildrop_in_memory import InMemoryMaildrop, InMemoryMaildropServer
from tests.mail.gmail_server import (
    GmailServer,
)
from tests.people import People
from tests.servers.dovecot import DovecotUser

DAY = datetime(2026, 11, 1, tzinfo=UTC)
PASSWORD = "correct horse"


def raw_message(subject: str = "Hello", *, text: str = "Hi there.", **headers: str) -> bytes:
    """A small message; headers are named as `message_id="…"`, an empty one is left out."""
    fields = {
        "from": "Ada Lovelace <ada@example.org>",
        "to": "Charles <charles@example.org>",
        "subject": subject,
        "date": "Tue, 3 Nov 2026 10:00:00 +0000",
        "message_id": f"<{uuid.uuid4().hex}@example.org>",
        **headers,
    }
    lines = [
        f"{name.replace('_', '-').title()}: {value}" for name, value in fields.items() if value
    ]
    return "\r\n".join([*lines, "", text, ""]).encode()


class Mailbox:
    """`server` is the truth, the database the copy; `sync` brings the copy up to date."""

    def __init__(self, account: EmailAccount) -> None:
        self.account = account
        self.server = InMemoryMailServer()
        self.remote = self.server.add_account(account.username, PASSWORD)
        self.progress = Progress()

    @property
    def inbox(self) -> InMemoryFolder:
        return self.remote.folder("INBOX")

    def store(self) -> InMemoryStore:
        return InMemoryStore(self.server, PasswordLogin(self.account.username, PASSWORD))

    def sync(
        self,
        *,
        full: bool = False,
        folders: Iterable[str] = (),
        store: InMemoryStore | None = None,
        run_id: uuid.UUID | None = None,
        began: datetime | None = None,
        interruption: Callable[[], Interruption | None] = lambda: None,
        **options: Any,
    ) -> Progress:
        """One pass."""
        order = Order(
            run_id=run_id or uuid.uuid4(),
            began=began or timezone.now(),
            is_full=full,
            folders=frozenset(folders),
        )
        self.progress = Progress()
        with store or self.store() as opened:
            control = Control(self.progress, interruption)
            Pass(opened, self.account.pk, order, control, **options).run()
        return self.progress

    def ids(self, path: str = "INBOX") -> dict[str, int]:
        """Subject → id of what is stored of a folder."""
        rows = FolderEntry.objects.filter(folder__account=self.account, folder__path=path)
        return dict(rows.values_list("message__subject", "message_id"))

    def subjects(self, path: str = "INBOX") -> list[str]:
        """What is stored of a folder, oldest UID first, duplicates too."""
        rows = FolderEntry.objects.filter(folder__account=self.account, folder__path=path)
        return list(rows.order_by("uid").values_list("message__subject", flat=True))

    def message(self, subject: str) -> Message:
        return Message.objects.get(account=self.account, subject=subject)

    def folder(self, path: str = "INBOX") -> Folder:
        return Folder.objects.get(account=self.account, path=path)

    def copy(self) -> dict[str, dict[int, tuple[bool, bool, str]]]:
        """Path → UID → (seen, flagged, subject) as stored."""
        found: dict[str, dict[int, tuple[bool, bool, str]]] = {}
        rows = FolderEntry.objects.filter(account=self.account)
        for path, uid, seen, flagged, subject in rows.values_list(
            "folder__path", "uid", "is_seen", "is_flagged", "message__subject"
        ):
            found.setdefault(path, {})[uid] = (seen, flagged, subject)
        return found

    def truth(self) -> dict[str, dict[int, tuple[bool, bool, str]]]:
        """The same as the server has it."""
        return {
            path: {
                uid: (
                    "\\Seen" in message.flags,
                    "\\Flagged" in message.flags,
                    subject_of(message.content),
                )
                for uid, message in folder.messages.items()
            }
            for path, folder in self.remote.folders.items()
            if folder.messages
        }


def subject_of(content: bytes) -> str:
    for line in content.split(b"\r\n"):
        if line.startswith(b"Subject: "):
            return line[9:].decode()
    return ""


@pytest.fixture
def account(people: People) -> EmailAccount:
    """An account of `people.member` to which nothing answers."""
    return people.connect_account(people.member)


@pytest.fixture
def mailbox(people: People) -> Mailbox:
    """An empty mailbox of `people.member`."""
    return Mailbox(people.connect_account(people.member, password=PASSWORD))


@pytest.fixture
def api(people: People) -> APIClient:
    return people.member.api


@pytest.fixture
def filled(mailbox: Mailbox) -> Mailbox:
    """Five messages, a day apart; the third is in Archive too, the fourth is seen and flagged."""
    for number in range(1, 6):
        mailbox.inbox.deliver(
            raw_message(
                f"Report {number}",
                **{"from": f"Person {number} <p{number}@example.org>"},
                to="Charles <charles@example.org>" if number % 2 else "Dora <dora@example.org>",
            ),
            received_at=DAY + timedelta(days=number),
            flags=["\\Seen", "\\Flagged", "$Work"] if number == 4 else [],
        )
    third = mailbox.inbox.messages[3]
    mailbox.remote.folder("Archive").deliver(
        third.content, received_at=third.received_at, flags=["\\Seen"]
    )
    mailbox.sync()
    return mailbox


def listed(api: APIClient, **query: Any) -> list[str]:
    response = api.get("/api/messages", query)
    assert response.status_code == 200, response.content
    return [message["subject"].removeprefix("Report ") for message in response.json()["messages"]]


@dataclass
class Connected:
    """An account whose mailbox lies on Dovecot."""

    account: EmailAccount
    user: DovecotUser


@pytest.fixture
def connected(people: People, dovecot_user: DovecotUser) -> Connected:
    account = people.connect_mailbox(people.member, dovecot_user)
    return Connected(account, dovecot_user)


class Pop3Account:
    """`remote` is the maildrop; `sync` brings the copy up to date."""

    def __init__(self, account: EmailAccount) -> None:
        self.account = account
        self.server = InMemoryMaildropServer()
        self.remote = self.server.add_account(account.username, "secret")

    def maildrop(self, *_: object) -> InMemoryMaildrop:
        return InMemoryMaildrop(self.server, PasswordLogin(self.account.username, "secret"))

    def sync(
        self,
        *,
        full: bool = False,
        folders: Iterable[str] = (),
        began: datetime | None = None,
        interruption: Callable[[], Interruption | None] = lambda: None,
        **options: Any,
    ) -> Progress:
        order = Order(uuid.uuid4(), began or timezone.now(), full, frozenset(folders))
        progress = Progress()
        with self.maildrop() as maildrop:
            control = Control(progress, interruption)
            Pop3Pass(maildrop, self.account.pk, order, control, **options).run()
        return progress

    def deliver(self, *subjects: str, **headers: str) -> list[str]:
        return [self.remote.deliver(raw_message(subject, **headers)) for subject in subjects]

    def ids(self) -> dict[str, int]:
        rows = FolderEntry.objects.filter(account=self.account)
        return dict(rows.values_list("message__subject", "message_id"))

    def change(self, subject: str, wish: Wish) -> None:
        pk = self.ids()[subject]
        problems = change_pop3_messages(self.account, [pk], wish, open_maildrop=self.maildrop)
        if pk in problems:
            raise problems[pk]


@pytest.fixture
def pop3(people: People) -> Pop3Account:
    return Pop3Account(people.connect_account(people.member, password="secret", protocol="pop3"))


class GmailAccount:
    """`server` is the truth; `sync` brings the copy up to date."""

    def __init__(self, account: EmailAccount, server: GmailServer) -> None:
        self.account, self.server = account, server

    def store(self, *_: object) -> ImapStore:
        return ImapStore(self.server.settings())

    def sync(self, *, full: bool = False, folders: Iterable[str] = ()) -> None:
        order = Order(uuid.uuid4(), timezone.now(), full, frozenset(folders))
        with self.store() as store:
            Pass(store, self.account.pk, order, Control(Progress())).run()

    def copy(self) -> dict[str, set[str]]:
        """Path → subjects, where there are any."""
        found: dict[str, set[str]] = {}
        rows = FolderEntry.objects.filter(account=self.account)
        for path, subject in rows.values_list("folder__path", "message__subject"):
            found.setdefault(path, set()).add(subject)
        return found

    def truth(self) -> dict[str, set[str]]:
        shown = {
            path: {_subject(row.content) for row in self.server.in_folder(path)}
            for path in self.server.folders()
        }
        return {path: subjects for path, subjects in shown.items() if subjects}


def _subject(content: bytes) -> str:
    return content.split(b"Subject: ")[1].split(b"\r\n")[0].decode()


@pytest.fixture
def gmail(people: People) -> Iterator[GmailAccount]:
    with GmailServer(["Arbeit", "Arbeit/Über", "Leer"]) as server:
        account = people.connect_account(people.member, port=server.port, encryption="none")
        yield GmailAccount(account, server)

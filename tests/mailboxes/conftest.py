"""A mailbox in memory beside the copy that is kept of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.sync.control import Control, Interruption, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.in_memory import InMemoryFolder, InMemoryMailServer, InMemoryStore
from tests.people import People

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

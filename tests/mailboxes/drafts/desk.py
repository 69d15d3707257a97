"""What tests of drafts share: a draft through the API, and a desk at which two programs write."""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.mail.stores.base import RemoteMessage
from mailhub.mail.stores.imap import ImapStore
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.smtp import SmtpReceiver


def begin(people: People, account: EmailAccount, **fields: Any) -> Any:
    body = {"accountId": str(account.pk), **fields}
    answer = people.member.api.post("/api/compose/drafts", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def at(draft: Any, rest: str = "") -> str:
    return f"/api/compose/drafts/{draft['id']}{rest}"


def upload(people: People, draft: Any, content: bytes, name: str = "a.pdf", **fields: Any) -> Any:
    file = io.BytesIO(content)
    file.name = name
    return people.member.api.post(
        at(draft, "/attachments"), {"file": file, **fields}, format="multipart"
    )


def parsed(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def text_of(message: EmailMessage) -> str:
    """Its plain text, without the line end that a program adds."""
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).strip()


def received(receiver: SmtpReceiver) -> EmailMessage:
    [message] = receiver.messages
    return parsed(message.content)


class Desk:
    """One account, written from here (`api`) and from another mail program (`other_…`)."""

    def __init__(self, people: People, user: DovecotUser, receiver: SmtpReceiver) -> None:
        self.user, self.people, self.api = user, people, people.member.api
        receiver.users = {user.name: user.password}
        self.account = people.connect_mailbox(
            people.member,
            user,
            email_address="joe@example.org",
            smtp_port=receiver.port,
            smtp_encryption="none",
        )

    def begin(self, **fields: Any) -> Any:
        return begin(self.people, self.account, **fields)

    def change(self, draft: Any, **fields: Any) -> Any:
        answer = self.api.put(at(draft), fields)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def look(self, draft: Any) -> Any:
        answer = self.api.get(at(draft))
        return answer.json() if answer.status_code == 200 else None

    def drafts(self) -> list[Any]:
        listed: list[Any] = self.api.get("/api/compose/drafts").json()["drafts"]
        return listed

    def sync(self, *, began: datetime | None = None) -> None:
        order = Order(uuid.uuid4(), began or timezone.now())
        with ImapStore(self.user.settings()) as store:
            Pass(store, self.account.pk, order, Control(Progress())).run()

    def there(self, folder: str = "Drafts") -> list[EmailMessage]:
        """What another program finds in the folder."""
        return [parsed(message.content) for message in self.raw(folder)]

    def raw(self, folder: str = "Drafts") -> list[RemoteMessage]:
        with ImapStore(self.user.settings()) as store:
            store.select(folder)
            return list(store.fetch(store.uids("UNDELETED")))

    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.there()]

    def other_writes(self, content: bytes) -> None:
        with ImapStore(self.user.settings()) as store:
            store.append("Drafts", content, flags=["\\Draft", "\\Seen"])

    def other_deletes(self, uids: Sequence[int] = ()) -> None:
        with ImapStore(self.user.settings()) as store:
            store.select("Drafts", read_only=False)
            store.expunge(uids or store.uids("UNDELETED"))

    def other_edits(self, content: bytes) -> None:
        """As mail programs do: another message, then the old one goes."""
        old = [message.uid for message in self.raw()]
        self.other_writes(content)
        self.other_deletes(old)

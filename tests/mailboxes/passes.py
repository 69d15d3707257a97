"""What tests of passes put into them, and the servers that they are tried on."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.test import TestCase

from mailboxes.models import Message
from mailboxes.signals import message_stored
from mailboxes.sync.control import Interruption
from mailhub.mail.errors import MailError
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.base import RemoteMessage
from mailhub.mail.stores.in_memory import InMemoryMailServer, InMemoryStore
from tests.mailboxes.conftest import PASSWORD, Mailbox

NO_CONDSTORE = frozenset({"IMAP4REV1", "UIDPLUS"})
CONDSTORE = NO_CONDSTORE | {"CONDSTORE"}
QRESYNC = CONDSTORE | {"QRESYNC", "LIST-STATUS"}
SERVERS = pytest.mark.parametrize(
    "capabilities", [QRESYNC, CONDSTORE, NO_CONDSTORE], ids=["qresync", "condstore", "poor"]
)


class Announcements:
    """What `message_stored` said."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.account_ids: set[uuid.UUID] = set()

    def __enter__(self) -> None:
        message_stored.connect(self.note)
        self._commits = TestCase.captureOnCommitCallbacks(execute=True)
        self._commits.__enter__()

    def __exit__(self, *_: Any) -> None:
        self._commits.__exit__(None, None, None)
        message_stored.disconnect(self.note)

    def note(self, account_id: uuid.UUID, message_ids: list[int], **_: Any) -> None:
        assert Message.objects.filter(pk__in=message_ids).count() == len(message_ids)
        self.ids += message_ids
        self.account_ids.add(account_id)


class Counting:
    """A store of the server that counts the bodies it hands over."""

    def __init__(self, server: InMemoryMailServer) -> None:
        self.server = server
        self.bodies: list[int] = []
        self.largest = self.most = self.headers = 0
        self.before_bodies: Callable[[], None] = lambda: None

    def store(self, mailbox: Mailbox) -> InMemoryStore:
        counting = self

        class Store(InMemoryStore):
            def fetch(
                self, uids: Sequence[int], *, headers_only: bool = False
            ) -> Iterator[RemoteMessage]:
                if not headers_only:
                    counting.before_bodies()
                batch = list(super().fetch(uids, headers_only=headers_only))
                counting.most = max(counting.most, len(batch))
                if headers_only:
                    counting.headers += len(batch)
                else:
                    counting.bodies += [message.uid for message in reversed(batch)]
                    octets = sum(len(message.content) for message in batch)
                    counting.largest = max(counting.largest, octets)
                yield from batch

        return Store(self.server, PasswordLogin(mailbox.account.username, PASSWORD))


class Interfering(InMemoryStore):
    """Lets `act` happen once, before the so manieth command of a name ("any": of all)."""

    def __init__(self, mailbox: Mailbox, when: dict[str, int], act: Callable[[], None]) -> None:
        super().__init__(mailbox.server, PasswordLogin(mailbox.account.username, PASSWORD))
        (self._name, self._left), self._act = *when.items(), act

    def _count(self, name: str) -> None:
        if self._name in (name, "any"):
            self._left -= 1
            if self._left == 0:
                self._act()
        super()._count(name)


class Poisoned(InMemoryStore):
    """Breaks the connection whenever the body of one message is fetched."""

    def __init__(
        self, server: InMemoryMailServer, username: str, uid: int, error: MailError
    ) -> None:
        super().__init__(server, PasswordLogin(username, PASSWORD))
        self._uid, self._error = uid, error

    def fetch(self, uids: Sequence[int], *, headers_only: bool = False) -> Iterator[RemoteMessage]:
        for message in super().fetch(uids, headers_only=headers_only):
            if message.uid == self._uid:
                self.close()
                raise self._error
            yield message


def after_checks(number: int) -> Callable[[], Interruption | None]:
    """Cancelled at the so manieth question."""
    left = [number]

    def interruption() -> Interruption | None:
        left[0] -= 1
        return Interruption.CANCELLED if left[0] < 0 else None

    return interruption

"""A POP3 server that lives in memory, and the maildrop that talks to it.

The twin of a POP3 account: the same contract, the same errors, no network.

    server = InMemoryMaildropServer()
    account = server.add_account("ada", "secret")
    account.deliver(b"Subject: hello\\r\\n\\r\\nHi")
    with InMemoryMaildrop(server, PasswordLogin("ada", "secret")) as maildrop:
        maildrop.listing()
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from mailhub.mail.errors import (
    CapabilityMissing,
    CommandRefused,
    ConnectionFailed,
    ProtocolViolation,
)
from mailhub.mail.living_token import with_living_token
from mailhub.mail.server import Login
from mailhub.mail.stores.in_memory_login import account_of
from mailhub.mail.stores.maildrop import LARGEST_MESSAGE, ListedMessage, Maildrop, Retrieved

_CAPABILITIES = frozenset({"TOP", "UIDL", "USER", "PIPELINING", "RESP-CODES"})


class InMemoryMaildropAccount:
    """One user's messages: unique-id → content, oldest first."""

    def __init__(self, server: InMemoryMaildropServer, password: str) -> None:
        self._server = server
        self.password = password
        self.messages: dict[str, bytes] = {}

    def deliver(self, content: bytes, unique_id: str = "") -> str:
        """Put a message at the end; its unique-id."""
        with self._server.lock:
            unique_id = unique_id or f"u{next(self._server.numbers):08}"
            self.messages[unique_id] = content
            return unique_id

    def remove(self, unique_id: str) -> None:
        """What another mail program deletes."""
        with self._server.lock:
            del self.messages[unique_id]

    def rename_all(self) -> None:
        """New unique-ids, as after a move to another server."""
        with self._server.lock:
            self.messages = {f"new-{name}": content for name, content in self.messages.items()}


@dataclass(slots=True)
class MaildropMisbehaviour:
    """What the server does wrong. All off in the beginning; change it at any time.

    `drop_after` closes each session after that many messages; `drop_at` are unique-ids
    at which it does so; `refused` are those that it refuses to hand over.
    """

    drop_after: int | None = None
    drop_at: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class InMemoryMaildropServer:
    """Accounts by user name. Safe to use from several threads.

    `retrieved` holds the unique-ids of messages in the order in which they were handed over.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[str, InMemoryMaildropAccount] = {}
        self.capabilities = _CAPABILITIES
        self.misbehaviour = MaildropMisbehaviour()
        self.retrieved: list[str] = []
        self.sessions = 0
        self.numbers = itertools.count(1)

    def add_account(self, username: str, password: str = "") -> InMemoryMaildropAccount:
        """A new account without messages."""
        with self.lock:
            self.accounts[username] = InMemoryMaildropAccount(self, password)
            return self.accounts[username]

    def log_in(self, login: Login | None) -> InMemoryMaildropAccount:
        """The account of a login. Raises LoginFailed."""
        account = account_of(self.accounts, login)
        self.sessions += 1
        return account


class InMemoryMaildrop(Maildrop):
    """One session with an `InMemoryMaildropServer`: it sees what was there when it began."""

    def __init__(self, server: InMemoryMaildropServer, login: Login | None) -> None:
        self._server, self._login = server, login
        self._account: InMemoryMaildropAccount | None = None
        self._names: list[str] = []
        self._marked: set[int] = set()
        self._handed_over = 0

    def open(self) -> None:
        if self._account is None:
            self._account = with_living_token(self._login, self._server.log_in)
            with self._server.lock:
                self._names, self._marked = list(self._account.messages), set()
                self._handed_over = 0

    def close(self) -> None:
        self._account = None

    @property
    def capabilities(self) -> frozenset[str]:
        return self._server.capabilities

    def listing(self) -> list[ListedMessage]:
        self._opened()
        if "UIDL" not in self.capabilities:
            raise CapabilityMissing("The server gives messages no unique-ids.")
        return [ListedMessage(number, self._names[number - 1]) for number in self._numbers()]

    def sizes(self) -> dict[int, int]:
        account = self._opened()
        with self._server.lock:
            return {
                number: len(account.messages.get(self._names[number - 1], b""))
                for number in self._numbers()
            }

    def retrieve(
        self, numbers: Sequence[int], *, largest: int = LARGEST_MESSAGE
    ) -> Iterator[Retrieved]:
        for number in numbers:
            content = self._content(number)
            name = self._names[number - 1] if self._is_there(number) else ""
            if content is None or name in self._server.misbehaviour.refused:
                yield Retrieved(number, None, "The server refused the message.")
                continue
            self._hand_over(name)
            if len(content) > largest:
                self.close()
                raise ProtocolViolation("The server sends without an end.")
            self._server.retrieved.append(name)
            yield Retrieved(number, content)

    def header(self, number: int) -> bytes:
        content = self._content(number)
        if content is None or "TOP" not in self.capabilities:
            raise CommandRefused("The server refused the message.")
        head, blank, _ = content.partition(b"\r\n\r\n")
        return head + blank

    def delete(self, numbers: Collection[int]) -> set[int]:
        self._opened()
        marked = {number for number in numbers if self._is_there(number)}
        self._marked |= marked
        return marked

    def finish(self) -> None:
        account = self._opened()
        with self._server.lock:
            for number in self._marked:
                account.messages.pop(self._names[number - 1], None)
        self.close()

    def _opened(self) -> InMemoryMaildropAccount:
        if self._account is None:
            raise ConnectionFailed("The connection is not open.")
        return self._account

    def _numbers(self) -> list[int]:
        return [number for number in range(1, len(self._names) + 1) if self._is_there(number)]

    def _is_there(self, number: int) -> bool:
        return 0 < number <= len(self._names) and number not in self._marked

    def _content(self, number: int) -> bytes | None:
        account = self._opened()
        with self._server.lock:
            return account.messages.get(self._names[number - 1]) if self._is_there(number) else None

    def _hand_over(self, name: str) -> None:
        """Count a message; the session ends where it may not pass."""
        trouble = self._server.misbehaviour
        if name in trouble.drop_at or self._handed_over == trouble.drop_after:
            self.close()
            raise ConnectionFailed("The server closed the connection.")
        self._handed_over += 1

"""A mailbox on each kind of server there is, for what every store promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mailhub.mail.host_guard import HostGuard
from mailhub.mail.message import Address, OutgoingMessage
from mailhub.mail.server import Encryption, PasswordLogin, Protocol, ServerSettings
from mailhub.mail.stores.base import Store
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.stores.in_memory import InMemoryMailServer, InMemoryStore
from mailhub.sandbox import SandboxMailServer


@dataclass
class Account:
    """An account with an empty mailbox, and a way to knock with another password."""

    connect: Callable[[str], Store]
    password: str
    name: str

    def store(self) -> Store:
        return self.connect(self.password)


@pytest.fixture(
    params=[
        "memory",
        "memory_qresync",
        "dovecot",
        "condstore_dovecot",
        "plain_dovecot",
        "pymap",
    ]
)
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    if request.param.startswith("memory"):
        server = InMemoryMailServer()
        if request.param == "memory_qresync":
            server.capabilities |= {"QRESYNC", "LIST-STATUS"}
        server.add_account("ada", "geheim-ü")
        yield Account(
            lambda p: InMemoryStore(server, PasswordLogin("ada", p)), "geheim-ü", "memory"
        )
    elif request.param == "pymap":
        with SandboxMailServer({"ada@example.org": "geheim"}) as sandbox:
            yield Account(lambda p: ImapStore(_sandbox_settings(sandbox, p)), "geheim", "pymap")
    else:
        user = request.getfixturevalue(f"{request.param}_user")
        yield Account(
            lambda p: ImapStore(user.server.settings(user.name, p)), user.password, request.param
        )


@pytest.fixture
def store(account: Account) -> Iterator[Store]:
    with account.store() as opened:
        yield opened


def _sandbox_settings(sandbox: SandboxMailServer, password: str) -> ServerSettings:
    return ServerSettings(
        Protocol.IMAP,
        sandbox.host,
        sandbox.imap_port,
        Encryption.NONE,
        PasswordLogin("ada@example.org", password),
        timeout=30,
        guard=HostGuard.allowing(["127.0.0.0/8"]),
    )


def message_of(subject: str, body: str = "Hello") -> bytes:
    return f"From: bo@example.org\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()


def fill(store: Store, count: int, path: str = "INBOX") -> list[int]:
    """That many messages in a folder, which is then selected for writing; their UIDs."""
    for number in range(count):
        store.append(path, message_of(f"number {number}"))
    store.select(path, read_only=False)
    return store.uids()


def composed(subject: str, **values: Any) -> bytes:
    sender = Address("Bo", "bo@example.org")
    return OutgoingMessage(sender, to=[sender], subject=subject, **values).as_bytes()

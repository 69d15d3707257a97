"""The twin's own side: second clients, and servers told to misbehave."""

from __future__ import annotations

import pytest

from mailhub.mail.errors import (
    ConnectionFailed,
    FolderMissing,
    LoginDeferred,
    LoginFailed,
    ServerTimeout,
)
from mailhub.mail.server import OAuth2Login, PasswordLogin
from mailhub.mail.stores.in_memory import InMemoryAccount, InMemoryMailServer, InMemoryStore

LOGIN = PasswordLogin("ada", "secret")


@pytest.fixture
def server() -> InMemoryMailServer:
    return InMemoryMailServer()


@pytest.fixture
def account(server: InMemoryMailServer) -> InMemoryAccount:
    account = server.add_account("ada", "secret")
    for number in range(4):
        account.deliver(f"Subject: {number}\r\n\r\nHello".encode())
    return account


@pytest.mark.usefixtures("account")
def test_a_connection_that_breaks_after_some_messages(server: InMemoryMailServer) -> None:
    server.misbehaviour.drop_after = 2
    arrived = []
    with InMemoryStore(server, LOGIN) as store:
        store.select("INBOX")
        with pytest.raises(ConnectionFailed):
            for message in store.fetch([1, 2, 3, 4]):
                arrived.append(message.uid)  # noqa: PERF401 - extend() forgets all at an error
        with pytest.raises(ConnectionFailed):
            store.uids()
        server.misbehaviour.drop_after = None
        store.open()
        store.select("INBOX")
        assert [message.uid for message in store.fetch([3, 4])] == [3, 4]
    assert arrived == [1, 2]
    assert server.open_connections == 0


@pytest.mark.usefixtures("account")
def test_refused_and_deferred_logins(server: InMemoryMailServer) -> None:
    server.misbehaviour.refuse_login = "no such user"
    with pytest.raises(LoginFailed, match="no such user"):
        InMemoryStore(server, LOGIN).open()
    server.misbehaviour.defer_login = "too many connections"
    with pytest.raises(LoginDeferred, match="too many"):
        InMemoryStore(server, LOGIN).open()


@pytest.mark.usefixtures("account")
def test_a_token_opens_what_its_password_opens(server: InMemoryMailServer) -> None:
    with InMemoryStore(server, OAuth2Login("ada", lambda: "secret")) as store:
        assert store.status("INBOX").messages == 4
    for login in (OAuth2Login("ada", lambda: "old"), PasswordLogin("bo", "secret"), None):
        with pytest.raises(LoginFailed):
            InMemoryStore(server, login).open()


@pytest.mark.usefixtures("account")
def test_withheld_messages_and_unusable_folders(server: InMemoryMailServer) -> None:
    server.misbehaviour.withheld.add(("INBOX", 2))
    server.misbehaviour.unselectable.add("Junk")
    with InMemoryStore(server, LOGIN) as store:
        store.select("INBOX")
        assert store.uids() == [1, 2, 3, 4]
        assert [message.uid for message in store.fetch([1, 2, 3])] == [1, 3]
        for ask in (store.select, store.status):
            with pytest.raises(FolderMissing):
                ask("Junk")


@pytest.mark.usefixtures("account")
def test_any_error_on_every_command(server: InMemoryMailServer) -> None:
    with InMemoryStore(server, LOGIN) as store:
        server.misbehaviour.fail_commands = ServerTimeout("nothing came")
        with pytest.raises(ServerTimeout):
            store.folders()


def test_what_a_second_client_does_shows(
    server: InMemoryMailServer, account: InMemoryAccount
) -> None:
    inbox = account.folder("INBOX")
    with InMemoryStore(server, LOGIN) as store:
        before = store.status("INBOX")
        inbox.set_flags(1, ["\\Seen"])
        inbox.remove(2)
        moved = inbox.move(3, "Trash")
        after = store.status("INBOX")
        assert (after.messages, after.unseen) == (2, 1)
        assert after.highest_modseq > before.highest_modseq
        assert after.uid_next == before.uid_next
        store.select("Trash")
        (message,) = store.fetch([moved])
        assert b"Subject: 2" in message.content


def test_a_message_keeps_its_id_when_it_moves(
    server: InMemoryMailServer, account: InMemoryAccount
) -> None:
    with InMemoryStore(server, LOGIN) as store:
        store.select("INBOX", read_only=False)
        (before,) = store.fetch([1])
        moved = store.move([1], "Archive")
        store.select("Archive")
        (after,) = store.fetch([moved[1]])
    assert after.remote_id == before.remote_id != ""
    assert after.received_at == before.received_at


def test_a_renumbered_folder(server: InMemoryMailServer, account: InMemoryAccount) -> None:
    inbox = account.folder("INBOX")
    inbox.remove(1)
    with InMemoryStore(server, LOGIN) as store:
        before = store.select("INBOX")
        inbox.renumber()
        after = store.select("INBOX")
        assert after.uid_validity != before.uid_validity
        assert store.uids() == [1, 2, 3]


@pytest.mark.usefixtures("account")
def test_a_server_without_extensions(server: InMemoryMailServer) -> None:
    server.capabilities = frozenset({"IMAP4REV1"})
    with InMemoryStore(server, LOGIN) as store:
        assert store.select("INBOX", read_only=False).highest_modseq == 0
        assert store.append("INBOX", b"Subject: x\r\n\r\n") is None
        assert store.move([1], "Trash") == {}
        assert {told.modseq for told in store.flags()} == {0}
        assert {message.remote_id for message in store.fetch([2])} == {""}


def test_commands_are_counted(server: InMemoryMailServer, account: InMemoryAccount) -> None:
    with InMemoryStore(server, LOGIN) as store:
        store.status("INBOX")
        store.status("Sent")
        store.select("INBOX")
    assert server.commands == {"open": 1, "status": 2, "select": 1}

"""save-to-draft, move-to-trash, empty-trash: over Dovecot, and over what poorer servers do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from mailboxes.operations.filing import empty_trash, move_to_trash, save_to_draft
from mailhub.mail.errors import CommandRefused, FolderMissing, MessageMissing
from mailhub.mail.parsing import parse_message
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.base import RemoteMessage, Store
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.stores.in_memory import InMemoryAccount, InMemoryMailServer, InMemoryStore
from tests.mail.scripted_imap import ScriptedImapServer
from tests.mailboxes.operations.calls import call, of_dovecot
from tests.people import People
from tests.servers.dovecot import DovecotUser

DRAFT = {
    "to": ["bo@example.org"],
    "bcc": "secretly@example.org",
    "subject": "Entwurf ä",
    "text": "Draft content",
}
RAW = b"Message-ID: <one@example.org>\r\nSubject: one\r\n\r\nHi\r\n"


@pytest.fixture(params=["dovecot_user", "plain_dovecot_user"])
def user(request: pytest.FixtureRequest, settings: Settings) -> DovecotUser:
    """On a Dovecot with MOVE and special use, and on one without."""
    found: DovecotUser = request.getfixturevalue(request.param)
    settings.MAILHUB_CA_FILE = found.server.ca_file
    return found


@pytest.fixture
def ask(people: People, user: DovecotUser) -> Callable[..., Any]:
    def ask(operation: str, *, key: str = "", **fields: Any) -> Any:
        headers = {"idempotency_key": key} if key else {}
        body = {"smtpCredentials": of_dovecot(user), **fields}
        return call(people.member.api, operation, body, **headers)

    return ask


def messages(user: DovecotUser, path: str) -> list[RemoteMessage]:
    """What a folder holds, as a second mail program sees it."""
    with ImapStore(user.settings()) as store:
        store.select(path)
        return list(store.fetch(store.uids()))


def test_a_draft_lies_in_drafts_as_it_was_written(
    ask: Callable[..., Any], user: DovecotUser
) -> None:
    response = ask("save-to-draft", mailOptions=DRAFT)
    assert response.status_code == 200
    assert response.json() == {"status": "success", "path": "Drafts", "uid": 1}
    (message,) = messages(user, "Drafts")
    assert {"\\Draft", "\\Seen"} <= message.flags
    parsed = parse_message(message.content)
    assert (parsed.subject, parsed.text) == ("Entwurf ä", "Draft content")
    assert [person.address for person in parsed.bcc] == ["secretly@example.org"]
    assert parsed.sender[0].address == user.name


def test_a_draft_needs_nobody_to_go_to(ask: Callable[..., Any], user: DovecotUser) -> None:
    assert ask("save-to-draft", mailOptions={"text": "unfinished"}).status_code == 200
    assert len(messages(user, "Drafts")) == 1


def test_the_same_key_saves_once(ask: Callable[..., Any], user: DovecotUser) -> None:
    answers = [ask("save-to-draft", mailOptions=DRAFT, key="one").json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(messages(user, "Drafts")) == 1


def test_one_message_goes_to_trash_and_no_other(ask: Callable[..., Any], user: DovecotUser) -> None:
    for _ in range(3):
        user.deliver(RAW, "Sent")
    with ImapStore(user.settings()) as other:
        # Marked by another program, which has not expunged it yet.
        other.select("Sent", read_only=False)
        other.store_flags([1], add=["\\Deleted"])
    response = ask("move-to-trash", uid=2, path="Sent")
    assert response.status_code == 200
    assert response.json() == {
        "status": "success",
        "uid": 2,
        "from": "Sent",
        "path": "Trash",
        "newUid": 1,
    }
    assert [message.uid for message in messages(user, "Sent")] == [1, 3]
    assert [message.content for message in messages(user, "Trash")] == [RAW]


def test_what_is_in_trash_stays_there(ask: Callable[..., Any], user: DovecotUser) -> None:
    user.deliver(RAW, "Trash")
    response = ask("move-to-trash", uid=1, path="Trash")
    assert response.json() == {
        "status": "success",
        "uid": 1,
        "from": "Trash",
        "path": "Trash",
        "newUid": 1,
    }
    assert len(messages(user, "Trash")) == 1


def test_one_message_is_deleted_for_good_and_no_other(
    ask: Callable[..., Any], user: DovecotUser
) -> None:
    for _ in range(3):
        user.deliver(RAW, "Trash")
    with ImapStore(user.settings()) as other:
        other.select("Trash", read_only=False)
        other.store_flags([1], add=["\\Deleted"])
    response = ask("empty-trash", uid=2)
    assert response.json() == {"status": "success", "deleted": 1}
    assert [message.uid for message in messages(user, "Trash")] == [1, 3]
    assert ask("empty-trash", all=True).json() == {"status": "success", "deleted": 2}
    assert messages(user, "Trash") == []
    assert ask("empty-trash", all=True).json() == {"status": "success", "deleted": 0}


@pytest.mark.parametrize(
    ("operation", "fields", "expected"),
    [
        ("move-to-trash", {"uid": 7}, (404, "message_missing")),
        ("move-to-trash", {"uid": 1, "path": "Nowhere"}, (422, "folder_missing")),
        ("move-to-trash", {"uid": 0}, (400, "invalid")),
        ("move-to-trash", {}, (400, "invalid")),
        ("move-to-trash", {"uid": 1, "path": "a\r\nb"}, (400, "invalid_message")),
        ("empty-trash", {"uid": 7}, (404, "message_missing")),
        ("empty-trash", {}, (400, "invalid")),
        ("empty-trash", {"all": False}, (400, "invalid")),
        ("empty-trash", {"uid": 1, "all": True}, (400, "invalid")),
        ("empty-trash", {"uid": 1, "path": "INBOX"}, (400, "invalid")),
        ("save-to-draft", {}, (400, "invalid")),
    ],
)
def test_what_cannot_be_done_is_said(
    ask: Callable[..., Any],
    user: DovecotUser,
    operation: str,
    fields: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    user.deliver(RAW)
    user.deliver(RAW, "Trash")
    response = ask(operation, **fields)
    assert (response.status_code, response.json()["error"]) == expected
    assert len(messages(user, "INBOX")) == len(messages(user, "Trash")) == 1


# Servers that offer less, in memory.


@pytest.fixture
def remote() -> InMemoryAccount:
    return InMemoryMailServer().add_account("ada", "secret")


@pytest.fixture
def store(remote: InMemoryAccount) -> Iterator[Store]:
    with InMemoryStore(remote.server, PasswordLogin("ada", "secret")) as opened:
        yield opened


def test_uids_are_found_where_the_server_does_not_tell_them(
    remote: InMemoryAccount, store: Store
) -> None:
    remote.server.capabilities = frozenset({"IMAP4REV1", "MOVE"})
    remote.deliver(b"Subject: older\r\n\r\nHi", "Drafts")
    assert save_to_draft(store, RAW, "<one@example.org>").uid == 2
    remote.deliver(b"Subject: older\r\n\r\nHi", "Trash")
    uid = remote.deliver(RAW)
    assert move_to_trash(store, uid, "inbox").new_uid == 2
    uid = remote.deliver(b"Subject: without an id\r\n\r\nHi")
    assert move_to_trash(store, uid, "INBOX").new_uid is None


@pytest.mark.parametrize(
    ("name", "flags"), [("Papierkorb", ()), ("Müll", ("\\Trash",)), ("INBOX/Trash", ())]
)
def test_trash_is_found_by_its_use_and_by_its_name(
    remote: InMemoryAccount, store: Store, name: str, flags: tuple[str, ...]
) -> None:
    remote.remove_folder("Trash")
    remote.add_folder(name, flags=flags)
    moved = move_to_trash(store, remote.deliver(RAW), "INBOX")
    assert (moved.path, list(remote.folder(name).messages)) == (name, [moved.new_uid])
    assert empty_trash(store, moved.new_uid) == 1
    assert remote.folder(name).messages == {}


def test_a_missing_special_folder_is_made(remote: InMemoryAccount, store: Store) -> None:
    remote.remove_folder("Trash")
    remote.remove_folder("Drafts")
    with pytest.raises(FolderMissing):
        empty_trash(store, None)
    assert save_to_draft(store, RAW, "<one@example.org>").path == "Drafts"
    assert move_to_trash(store, remote.deliver(RAW), "INBOX").path == "Trash"
    assert len(remote.folder("Trash").messages) == len(remote.folder("Drafts").messages) == 1


def test_a_folder_is_made_beneath_inbox_where_the_server_wants_that() -> None:
    listed = b'* LIST () "." INBOX\r\n* LIST () "." INBOX.Sent\r\n<tag> OK\r\n'
    answers = {
        "LIST": listed,
        "CREATE": b"<tag> NO Invalid mailbox name\r\n",
        'LIST "" "DRAFTS"': b"<tag> OK\r\n",
        'CREATE "INBOX.DRAFTS"': b"<tag> OK\r\n",
        "SUBSCRIBE": b"<tag> OK\r\n",
        "APPEND": b"+ go on\r\n<tag> OK [APPENDUID 7 12] done\r\n",
    }
    with ScriptedImapServer(answers) as server, ImapStore(server.settings()) as store:
        saved = save_to_draft(store, b"", "<one@example.org>")
    assert (saved.path, saved.uid) == ("INBOX.Drafts", 12)


def test_a_server_that_deletes_whole_folders_only_is_not_asked_to(
    remote: InMemoryAccount, store: Store
) -> None:
    remote.server.capabilities = frozenset({"IMAP4REV1"})
    uids = [remote.deliver(RAW, "Trash") for _ in range(2)]
    with pytest.raises(CommandRefused):
        empty_trash(store, uids[0])
    assert list(remote.folder("Trash").messages) == uids


def test_a_message_that_is_gone_is_missing(remote: InMemoryAccount, store: Store) -> None:
    with pytest.raises(MessageMissing):
        move_to_trash(store, 5, "INBOX")
    with pytest.raises(MessageMissing):
        empty_trash(store, 5)

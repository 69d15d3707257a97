"""PATCH and DELETE messages/{id}, POST messages/batch: over a real server, and who may."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.models import Folder, FolderEntry, Message
from mailhub.mail.stores.imap import ImapStore
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.mailboxes.test_dovecot import account, copy, sync, truth, user
from tests.pages.conftest import Visit, visit
from tests.people import People
from tests.servers.dovecot import DovecotUser

__all__ = ["account", "user", "visit"]


@pytest.fixture
def filled(account: EmailAccount, user: DovecotUser) -> dict[str, int]:
    """Subject → id of m0 to m3 in INBOX of a Dovecot."""
    for number in range(4):
        user.deliver(raw_message(f"m{number}"))
    sync(account, ImapStore(user.settings()))
    return dict(Message.objects.values_list("subject", "pk"))


def folder(path: str) -> str:
    return str(Folder.objects.get(path=path).pk)


def test_flags_on_the_server_and_in_the_answer(
    filled: dict[str, int], api: APIClient, account: EmailAccount, user: DovecotUser
) -> None:
    address = f"/api/messages/{filled['m1']}"
    answer = api.patch(address, {"isRead": True, "isFlagged": True}, format="json")
    assert answer.status_code == 200, answer.content
    assert (answer.json()["isRead"], answer.json()["isFlagged"]) == (True, True)
    assert answer.json()["id"] == str(filled["m1"])
    assert copy(account) == truth(user)
    assert api.patch(address, {"isFlagged": False}, format="json").json()["isFlagged"] is False
    assert copy(account) == truth(user)


def test_a_move_and_two_deletions(
    filled: dict[str, int], api: APIClient, account: EmailAccount, user: DovecotUser
) -> None:
    user.deliver(raw_message("there"), "Archive")
    sync(account, ImapStore(user.settings()))
    address = f"/api/messages/{filled['m2']}"
    answer = api.patch(address, {"folderId": folder("Archive")}, format="json")
    assert answer.json()["folderIds"] == [folder("Archive")]
    assert api.delete(address).status_code == 204
    assert api.get(address).json()["folderIds"] == [folder("Trash")]
    assert copy(account) == truth(user)
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404
    assert copy(account) == truth(user)
    sync(account, ImapStore(user.settings()))
    assert copy(account) == truth(user)
    assert Message.objects.count() == 4


def test_permanent_deletion_and_a_message_that_is_gone(
    filled: dict[str, int], api: APIClient, account: EmailAccount, user: DovecotUser
) -> None:
    answer = api.delete(f"/api/messages/{filled['m0']}?permanent=true")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Trash" not in truth(user)
    assert copy(account) == truth(user)
    with ImapStore(user.settings()) as other:
        other.select("INBOX", read_only=False)
        other.expunge(other.uids())
    answer = api.delete(f"/api/messages/{filled['m1']}")
    assert (answer.status_code, answer.json()["error"]) == (404, "message_missing")


def test_a_batch_tells_of_each(
    filled: dict[str, int], api: APIClient, account: EmailAccount, user: DovecotUser
) -> None:
    with ImapStore(user.settings()) as other:
        other.select("INBOX", read_only=False)
        other.expunge(other.uids()[:1])
    ids = [str(filled["m0"]), "987654321", str(filled["m1"]), str(filled["m2"])]
    answer = api.post("/api/messages/batch", {"ids": ids, "delete": True}, format="json")
    assert answer.status_code == 200, answer.content
    results = answer.json()["results"]
    assert [row["id"] for row in results] == ids
    assert [row["error"] for row in results] == ["message_missing", "not_found", None, None]
    assert [row["status"] for row in results] == ["failed", "failed", "done", "done"]
    sync(account, ImapStore(user.settings()))
    assert copy(account) == truth(user)
    assert {subject for *_, subject in copy(account)["Trash"]} == {"m1", "m2"}


def test_a_server_that_is_away(filled: dict[str, int], api: APIClient) -> None:
    EmailAccount.objects.update(port=1)
    answer = api.patch(f"/api/messages/{filled['m0']}", {"isRead": True}, format="json")
    assert (answer.status_code, answer.json()["error"]) == (502, "connection_failed")
    batch = {"ids": [str(filled["m0"]), str(filled["m1"])], "isRead": True}
    for _ in range(2):
        answer = api.post(
            "/api/messages/batch", batch, format="json", headers={"idempotency-key": "once"}
        )
        assert (answer.status_code, answer.json()["error"]) == (502, "connection_failed")
    assert not FolderEntry.objects.filter(is_seen=True).exists()
    EmailAccount.objects.update(is_enabled=False)
    answer = api.delete(f"/api/messages/{filled['m0']}")
    assert (answer.status_code, answer.json()["error"]) == (409, "account_disabled")


@pytest.fixture
def unreached(mailbox: Mailbox) -> Mailbox:
    """Two messages, the first in two folders, of an account whose server is never asked."""
    mailbox.remote.deliver(raw_message("both"))
    mailbox.remote.deliver(raw_message("one"))
    both = mailbox.inbox.messages[1]
    mailbox.remote.folder("Archive").deliver(both.content, received_at=both.received_at)
    mailbox.sync()
    return mailbox


def test_several_folders_need_one_to_leave(unreached: Mailbox, api: APIClient) -> None:
    address = f"/api/messages/{unreached.message('both').pk}"
    move = {"folderId": str(unreached.folder("Sent").pk)}
    for answer in (
        api.patch(address, move, format="json"),
        api.delete(address),
        api.delete(f"{address}?permanent=true"),
    ):
        assert (answer.status_code, answer.json()["error"]) == (409, "several_folders")
        assert len(answer.json()["details"]["folderIds"]) == 2
    answer = api.delete(f"{address}?fromFolderId={unreached.folder('Sent').pk}")
    assert (answer.status_code, answer.json()["error"]) == (409, "not_in_folder")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"isRead": "perhaps"}, "isRead"),
        ({"isRead": None}, "isRead"),
        ({"folderId": "inbox"}, "folderId"),
        ({"folderId": "987654321"}, "folderId"),
        ({"folderId": "9" * 30}, "folderId"),
        ({"fromFolderId": "1"}, "fromFolderId"),
        ({"seen": True}, "seen"),
        ({"keywords": ["x"]}, "keywords"),
    ],
)
def test_what_is_not_understood_changes_nothing(
    unreached: Mailbox, api: APIClient, body: dict[str, Any], field: str
) -> None:
    pk = unreached.message("one").pk
    answer = api.patch(f"/api/messages/{pk}", body, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["details"]["fields"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ids": []}, "ids"),
        ({"ids": ["1"]}, "ids"),
        ({"ids": ["x"], "isRead": True}, "ids"),
        ({"ids": [str(n) for n in range(1, 502)], "isRead": True}, "ids"),
        ({"ids": ["1"], "delete": True, "isRead": True}, "delete"),
        ({"ids": ["1"], "isRead": True, "permanent": True}, "permanent"),
        ({"ids": ["1"], "isRead": True, "fromFolderId": "1"}, "fromFolderId"),
    ],
)
def test_a_batch_that_makes_no_sense(api: APIClient, body: dict[str, Any], field: str) -> None:
    answer = api.post("/api/messages/batch", body, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["details"]["fields"]


def test_nothing_asked_is_nothing_done(unreached: Mailbox, api: APIClient) -> None:
    answer = api.patch(f"/api/messages/{unreached.message('one').pk}", {}, format="json")
    assert (answer.status_code, answer.json()["subject"]) == (200, "one")


def test_a_folder_of_another_account_is_none_of_this(
    unreached: Mailbox, people: People, api: APIClient
) -> None:
    other = Mailbox(people.connect_account(people.member, email_address="b@acme.example"))
    other.sync()
    body = {"folderId": str(other.folder().pk)}
    answer = api.patch(f"/api/messages/{unreached.message('one').pk}", body, format="json")
    assert answer.status_code == 400


def test_only_the_owner_changes_mail(unreached: Mailbox, people: People) -> None:
    people.delegate(unreached.account, people.reader)
    people.delegate(unreached.account, people.sender, may_send=True)
    pk = str(unreached.message("one").pk)
    expected = {
        **dict.fromkeys(("reader", "sender"), (403, "not_owner")),
        **dict.fromkeys(("teammate", "admin", "owner", "stranger"), (404, "not_found")),
    }
    for name, outcome in expected.items():
        api = getattr(people, name).api
        for answer in (
            api.patch(f"/api/messages/{pk}", {"isRead": True}, format="json"),
            api.delete(f"/api/messages/{pk}"),
        ):
            assert (answer.status_code, answer.json()["error"]) == outcome, name
        answer = api.post("/api/messages/batch", {"ids": [pk], "isRead": True}, format="json")
        assert [row["error"] for row in answer.json()["results"]] == [outcome[1]], name


def test_a_viewer_changes_not_even_its_own(people: People) -> None:
    box = Mailbox(people.connect_account(people.viewer))
    box.remote.deliver(raw_message("own"))
    box.sync()
    pk = str(box.message("own").pk)
    for answer in (
        people.viewer.api.patch(f"/api/messages/{pk}", {"isRead": True}, format="json"),
        people.viewer.api.delete(f"/api/messages/{pk}"),
        people.viewer.api.post("/api/messages/batch", {"ids": [pk], "isRead": True}),
    ):
        assert (answer.status_code, answer.json()["error"]) == (403, "scope_required")


@pytest.mark.parametrize("name", ["{} of {name}", "{0!r}", "100 %s"])
def test_a_page_says_into_which_folder_a_message_was_moved(
    filled: dict[str, int],
    *,
    people: People,
    visit: Visit,
    account: EmailAccount,
    user: DovecotUser,
    name: str,
) -> None:
    user.deliver(raw_message("there"), name)
    sync(account, ImapStore(user.settings()))
    form = {"act": "move", "ids": filled["m2"], "folder": folder(name), "next": "/mail/all"}
    page = visit(people.member).post("/mail/act", form, follow=True)
    assert f"1 message moved to {name}." in page.text
    assert copy(account) == truth(user)

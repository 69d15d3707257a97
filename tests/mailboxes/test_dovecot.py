"""Passes over a real Dovecot, rich and poor in extensions, with a second client at work."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.raw_store import RawStore
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.mail.stores.base import RemoteMessage, Store
from mailhub.mail.stores.imap import ImapStore
from tests.mailboxes.conftest import raw_message
from tests.people import People
from tests.servers.dovecot import DovecotUser


@pytest.fixture(params=["rich", "poor"])
def user(request: pytest.FixtureRequest) -> DovecotUser:
    """A user on each kind of server."""
    name = "dovecot_user" if request.param == "rich" else "plain_dovecot_user"
    found: DovecotUser = request.getfixturevalue(name)
    return found


@pytest.fixture
def account(people: People, user: DovecotUser) -> EmailAccount:
    return people.connect_account(
        people.member,
        password=user.password,
        username=user.name,
        port=user.server.port,
        encryption="none",
    )


def sync(account: EmailAccount, store: Store) -> Progress:
    progress = Progress()
    order = Order(uuid.uuid4(), timezone.now())
    with store:
        Pass(store, account.pk, order, Control(progress)).run()
    return progress


def copy(account: EmailAccount) -> dict[str, set[tuple[int, bool, bool, str]]]:
    """Path → (uid, seen, flagged, subject) as stored."""
    found: dict[str, set[tuple[int, bool, bool, str]]] = {}
    for row in FolderEntry.objects.filter(account=account).select_related("folder", "message"):
        entry = (row.uid, row.is_seen, row.is_flagged, row.message.subject)
        found.setdefault(row.folder.path, set()).add(entry)
    return found


def truth(user: DovecotUser) -> dict[str, set[tuple[int, bool, bool, str]]]:
    """The same as the server tells it."""
    found: dict[str, set[tuple[int, bool, bool, str]]] = {}
    with ImapStore(user.settings()) as store:
        for folder in store.folders():
            store.select(folder.path)
            for message in store.fetch(store.uids()):
                subject = next(
                    line[9:].decode()
                    for line in message.content.splitlines()
                    if line.startswith(b"Subject: ")
                )
                entry = (
                    message.uid,
                    "\\Seen" in message.flags,
                    "\\Flagged" in message.flags,
                    subject,
                )
                found.setdefault(folder.path, set()).add(entry)
    return found


def test_flags_moves_and_deletions_of_another_client(
    account: EmailAccount, user: DovecotUser
) -> None:
    for number in range(6):
        user.deliver(raw_message(f"m{number}"))
    sync(account, ImapStore(user.settings()))
    assert copy(account) == truth(user)
    ids = dict(Message.objects.values_list("subject", "pk"))
    with ImapStore(user.settings()) as other:
        other.select("INBOX", read_only=False)
        uids = other.uids()
        other.store_flags(uids[:2], add=["\\Seen", "\\Flagged"])
        other.move(uids[2:4], "Archive")
        other.expunge(uids[4:5])
    if "MOVE" not in ImapStoreCapabilities(user):
        # Without MOVE the moved ones stay behind, marked, until they are expunged.
        with ImapStore(user.settings()) as other:
            other.select("INBOX", read_only=False)
            other.expunge(other.uids("DELETED"))
    sync(account, ImapStore(user.settings()))
    assert copy(account) == truth(user)
    for subject in ("m0", "m2", "m3", "m5"):
        assert Message.objects.get(subject=subject).pk == ids[subject]


def ImapStoreCapabilities(user: DovecotUser) -> frozenset[str]:  # noqa: N802
    with ImapStore(user.settings()) as store:
        return store.capabilities


def test_a_pass_without_changes_selects_nothing_on_a_rich_server(
    people: People, dovecot_user: DovecotUser
) -> None:
    account = people.connect_account(people.member)
    dovecot_user.deliver(raw_message())
    sync(account, ImapStore(dovecot_user.settings()))

    class Refusing(ImapStore):
        def select(self, path: str, *, read_only: bool = True) -> None:  # type: ignore[override]
            raise AssertionError(f"{path} was selected")

    progress = sync(account, Refusing(dovecot_user.settings()))
    assert progress.folders_done == progress.folders_total


def test_a_second_client_in_the_middle_of_a_pass(account: EmailAccount, user: DovecotUser) -> None:
    for number in range(10):
        user.deliver(raw_message(f"m{number}"))

    def meddle() -> None:
        with ImapStore(user.settings()) as other:
            other.select("INBOX", read_only=False)
            uids = other.uids()
            other.expunge(uids[-2:])
            other.store_flags(uids[:1], add=["\\Seen"])
        user.deliver(raw_message("late"))

    class Meddled(ImapStore):
        acts: Sequence[Callable[[], None]] = (meddle,)

        def fetch(
            self, uids: Sequence[int], *, headers_only: bool = False
        ) -> Iterator[RemoteMessage]:
            for act in self.acts:
                act()
            self.acts = ()
            yield from super().fetch(uids, headers_only=headers_only)

    sync(account, Meddled(user.settings()))
    sync(account, ImapStore(user.settings()))
    assert copy(account) == truth(user)
    assert len(copy(account)["INBOX"]) == 9
    assert not FolderEntry.objects.filter(lacks_body=True).exists()


def test_a_raw_message_that_is_missing_is_fetched_from_the_server(
    account: EmailAccount, user: DovecotUser, people: People
) -> None:
    raw = raw_message("here")
    user.deliver(raw)
    sync(account, ImapStore(user.settings()))
    message = Message.objects.get()
    store = RawStore(account.pk)
    whole = store.get(message.raw_digest)
    store.delete_all()
    api: APIClient = people.member.api
    response = api.get(f"/api/messages/{message.pk}/raw")
    assert (response.status_code, response.content) == (200, whole)
    assert store.get(message.raw_digest) == whole

    store.delete_all()
    with ImapStore(user.settings()) as other:
        other.select("INBOX", read_only=False)
        other.expunge(other.uids())
    response = api.get(f"/api/messages/{message.pk}/raw")
    assert (response.status_code, response.json()["error"]) == (404, "message_missing")

    EmailAccount.objects.filter(pk=account.pk).update(port=1)
    response = api.get(f"/api/messages/{message.pk}")
    assert (response.status_code, response.json()["error"]) == (502, "connection_failed")


def test_folders_with_odd_names(account: EmailAccount, user: DovecotUser) -> None:
    names = ["Entwürfe 2026", "受信箱", "a & b", 'quote"s']
    for name in names:
        user.deliver(raw_message(name), name)
    sync(account, ImapStore(user.settings()))
    paths = set(Folder.objects.filter(account=account).values_list("path", flat=True))
    assert set(names) <= paths
    assert copy(account) == truth(user)

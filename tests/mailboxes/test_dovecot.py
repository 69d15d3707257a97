"""Passes over a real Dovecot, rich and poor in extensions, with a second client at work."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from django.test import TestCase
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import EmailAccount
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.raw_store import RawStore
from mailboxes.signals import message_stored
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailhub.mail.server import Encryption
from mailhub.mail.stores.base import FolderStatus, RemoteMessage, Store
from mailhub.mail.stores.imap import ImapStore
from tests.mailboxes.conftest import raw_message
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.relay import Relay

KINDS = {
    "qresync": "dovecot_user",
    "condstore": "condstore_dovecot_user",
    "poor": "plain_dovecot_user",
}


@pytest.fixture(params=KINDS)
def user(request: pytest.FixtureRequest) -> DovecotUser:
    """A user on each kind of server."""
    found: DovecotUser = request.getfixturevalue(KINDS[request.param])
    return found


@pytest.fixture
def account(people: People, user: DovecotUser) -> EmailAccount:
    return people.connect_mailbox(people.member, user)


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
    if "MOVE" not in capabilities_of(user):
        # Without MOVE the moved ones stay behind, marked, until they are expunged.
        with ImapStore(user.settings()) as other:
            other.select("INBOX", read_only=False)
            other.expunge(other.uids("DELETED"))
    sync(account, ImapStore(user.settings()))
    assert copy(account) == truth(user)
    for subject in ("m0", "m2", "m3", "m5"):
        assert Message.objects.get(subject=subject).pk == ids[subject]


def capabilities_of(user: DovecotUser) -> frozenset[str]:
    with ImapStore(user.settings()) as store:
        return store.capabilities


@dataclass(frozen=True)
class Spoken:
    """What a pass said to the server, without the login, and how many octets it was told."""

    commands: list[str]
    octets: int

    def count(self, word: str) -> int:
        """Commands that begin with it."""
        return sum(command.startswith(word) for command in self.commands)


def overheard(account: EmailAccount, user: DovecotUser) -> Spoken:
    """A pass, listened to."""
    with Relay(user.server.port) as relay:
        settings = user.settings(Encryption.NONE, port=relay.port)
        sync(account, ImapStore(settings))
        said = [
            command
            for command in relay.commands
            if command and not command.startswith(("CAPABILITY", "AUTHENTICATE", "LOGOUT"))
        ]
        return Spoken(said, relay.answered)


def test_a_pass_without_changes_is_a_few_octets(account: EmailAccount, user: DovecotUser) -> None:
    for number in range(30):
        user.deliver(raw_message(f"m{number}"))
    sync(account, ImapStore(user.settings()))
    spoken = overheard(account, user)
    capabilities = capabilities_of(user)
    if "CONDSTORE" in capabilities:
        assert spoken.count("EXAMINE") + spoken.count("SELECT") + spoken.count("UID") == 0
    if "LIST-STATUS" in capabilities:
        assert (spoken.count("LIST"), spoken.count("STATUS")) == (1, 0)
        assert spoken.count("ENABLE QRESYNC") == 1
        assert len(spoken.commands) <= 3, "ENABLE, LIST, and what is left of the login"
        assert spoken.octets < 4000


def test_one_changed_flag_does_not_sweep_the_folder(
    account: EmailAccount, user: DovecotUser
) -> None:
    for number in range(150):
        user.deliver(raw_message(f"m{number}"))
    sync(account, ImapStore(user.settings()))
    with ImapStore(user.settings()) as other:
        other.select("INBOX", read_only=False)
        other.store_flags([7], add=["\\Flagged"])
    spoken = overheard(account, user)
    assert copy(account) == truth(user)
    if "CONDSTORE" in capabilities_of(user):
        assert spoken.count("EXAMINE") == 1
        assert (
            spoken.count("UID") == spoken.count("UID FETCH 1:4294967295 (UID FLAGS) (CHANGED") == 1
        )
        assert spoken.octets < 6000, "150 messages and their flags take more"


def test_what_vanished_is_told_only_by_qresync(account: EmailAccount, user: DovecotUser) -> None:
    for number in range(20):
        user.deliver(raw_message(f"m{number}"))
    sync(account, ImapStore(user.settings()))
    with ImapStore(user.settings()) as other:
        other.select("INBOX", read_only=False)
        other.expunge([3, 4, 5, 11])
    spoken = overheard(account, user)
    assert copy(account) == truth(user)
    capabilities = capabilities_of(user)
    if "CONDSTORE" in capabilities:
        assert spoken.count("UID SEARCH ALL") == (0 if "QRESYNC" in capabilities else 1)
        assert spoken.count("UID FETCH") == 1


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


def test_messages_that_were_moved_or_copied_are_not_downloaded_again(
    account: EmailAccount, user: DovecotUser
) -> None:
    for number in range(8):
        user.deliver(raw_message(f"m{number}", text="z" * 100_000))
    sync(account, ImapStore(user.settings()))
    ids = dict(Message.objects.values_list("subject", "pk"))
    with ImapStore(user.settings()) as other:
        other.select("INBOX", read_only=False)
        uids = other.uids()
        other.move(uids[:3], "Archive")
        other.move(uids[3:6], "Trash")
        other.expunge(other.uids("DELETED"))
    spoken = overheard(account, user)
    assert copy(account) == truth(user)
    assert dict(Message.objects.values_list("subject", "pk")) == ids
    assert spoken.octets < 40_000, "headers alone; a body has a hundred thousand"


def test_a_second_client_that_moves_mail_in_the_middle_of_a_pass(
    account: EmailAccount, user: DovecotUser
) -> None:
    """Into a folder that was passed already, and out of one that was not reached yet."""
    for number in range(4):
        user.deliver(raw_message(f"t{number}", text="z" * 50_000), "Trash")
        user.deliver(raw_message(f"i{number}", text="z" * 50_000))
    sync(account, ImapStore(user.settings()))
    ids = dict(Message.objects.values_list("subject", "pk"))
    user.deliver(raw_message("new"), "Trash")

    def meddle() -> None:
        with ImapStore(user.settings()) as other:
            for source, target in (("Trash", "INBOX"), ("INBOX", "Trash")):
                other.select(source, read_only=False)
                other.move(other.uids()[:2], target)
                other.expunge(other.uids("DELETED"))

    class Meddled(ImapStore):
        met = False

        def select(self, path: str, *, read_only: bool = True) -> FolderStatus:
            if path == "Trash" and not self.met:
                self.met = True
                meddle()
            return super().select(path, read_only=read_only)

    store = Meddled(user.settings())
    sync(account, store)
    assert store.met
    octets = sum(overheard(account, user).octets for _ in range(2))
    assert copy(account) == truth(user)
    after = dict(Message.objects.visible().values_list("subject", "pk"))
    assert {name: after[name] for name in ids} == ids
    assert octets < 40_000, "each body has fifty thousand"


def test_another_uidvalidity_keeps_ids_and_downloads_nothing(
    account: EmailAccount, user: DovecotUser
) -> None:
    for number in range(6):
        user.deliver(raw_message(f"m{number}", text="z" * 100_000))
    sync(account, ImapStore(user.settings()))
    ids = dict(Message.objects.values_list("subject", "pk"))
    before = Folder.objects.get(account=account, path="INBOX").uid_validity
    user.server.renumber(user.name)
    announced: list[int] = []

    def note(message_ids: list[int], **_: object) -> None:
        announced.extend(message_ids)

    message_stored.connect(note)
    try:
        with TestCase.captureOnCommitCallbacks(execute=True):
            spoken = overheard(account, user)
    finally:
        message_stored.disconnect(note)
    assert Folder.objects.get(account=account, path="INBOX").uid_validity > before
    assert copy(account) == truth(user)
    assert dict(Message.objects.values_list("subject", "pk")) == ids
    assert not announced, "old mail is no news"
    assert spoken.octets < 40_000


def test_flags_go_both_ways(account: EmailAccount, user: DovecotUser, people: People) -> None:
    for name in ("ours", "theirs"):
        user.deliver(raw_message(name))
    sync(account, ImapStore(user.settings()))
    ours, theirs = (Message.objects.get(subject=name).pk for name in ("ours", "theirs"))
    api: APIClient = people.member.api
    changed = {"isRead": True, "isFlagged": True}
    response = api.patch(f"/api/messages/{ours}", changed, format="json")
    assert response.status_code == 200, response.content
    with ImapStore(user.settings()) as other:
        other.select("INBOX", read_only=False)
        first, second = other.uids()
        told = {row.uid: row.flags for row in other.flags()}
        assert told == {first: {"\\Seen", "\\Flagged"}, second: set()}
        other.store_flags([second], add=["\\Seen", "work"])
        other.store_flags([first], remove=["\\Flagged"])
    sync(account, ImapStore(user.settings()))
    shown = {pk: api.get(f"/api/messages/{pk}").json() for pk in (ours, theirs)}
    states = {pk: (told["isRead"], told["isFlagged"]) for pk, told in shown.items()}
    assert states == {ours: (True, False), theirs: (True, False)}
    assert shown[theirs]["keywords"] == ["work"]
    folders = api.get("/api/folders", {"accountId": str(account.pk)}).json()["folders"]
    inbox = next(folder for folder in folders if folder["role"] == "inbox")
    assert (inbox["total"], inbox["unread"]) == (2, 0)

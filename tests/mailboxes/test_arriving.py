"""New mail is stored while a pass is under way, beside it, and the pass takes no harm."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.event_webhooks import add_webhook
from accounts.models import EmailAccount
from mailboxes.models import (
    Folder,
    FolderEntry,
    Message,
    MessageChange,
    SyncRun,
    SyncState,
    WatchState,
)
from mailboxes.sync.arriving import take_arrivals
from mailboxes.sync.control import Control, Progress
from mailboxes.sync.engine import Order, Pass
from mailboxes.sync.running import Outcome, end
from mailhub.mail.stores.base import Changes, FolderStatus, RemoteMessage
from mailhub.mail.stores.imap import ImapStore
from tests.mailboxes.conftest import Connected, GmailAccount, Mailbox, raw_message
from tests.mailboxes.passes import SERVERS, Interfering
from tests.mailboxes.test_dovecot import KINDS, copy, sync, truth
from tests.mailboxes.test_news import told
from tests.mailboxes.watching.watchers import Watching, arrives, stands
from tests.people import People
from tests.servers.dovecot import DovecotUser
from tests.servers.processes import wait_until

pytestmark = pytest.mark.django_db


def take_beside(mailbox: Mailbox, path: str = "INBOX") -> None:
    """As `take_arrivals`, over a connection of its own to the server in memory."""
    order = Order(uuid.uuid4(), timezone.now(), folders=[path])
    with mailbox.store() as store:
        work = Pass(store, mailbox.account.pk, order, Control(Progress()), all_are_new=True)
        work.take_arrivals()


def were_hidden() -> bool:
    """Whether a message that was in sight went out of it at any time."""
    return MessageChange.objects.filter(is_removed=True).exists()


@SERVERS
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "following"])
def test_whenever_it_arrives(
    mailbox: Mailbox, capabilities: frozenset[str], *, is_first: bool
) -> None:
    """Before any command of a pass: it is here at once, stays, and is counted once."""
    mailbox.server.capabilities = capabilities
    for number in range(4):
        mailbox.remote.deliver(raw_message(f"m{number}"), "INBOX" if number % 2 else "Archive")
    if not is_first:
        mailbox.sync()
    taken: list[bool] = []

    def arrive() -> None:
        begun = FolderEntry.objects.filter(folder__path="INBOX", uid__gt=0).exists()
        mailbox.remote.deliver(raw_message("fresh"))
        take_beside(mailbox)
        is_here = Message.objects.filter(subject="fresh", body_state="stored").exists()
        assert is_here == begun
        taken.append(is_here)

    for command in range(1, 200, 3):
        before = len(taken)
        if not is_first:
            mailbox.inbox.set_flags(1, ["\\Seen"] if command % 2 else [])
        mailbox.sync(store=Interfering(mailbox, {"any": command}, arrive), headers_first=1)
        assert not were_hidden()
        mailbox.sync()
        assert mailbox.copy() == mailbox.truth()
        assert mailbox.folder().total == len(mailbox.inbox.messages)
        if len(taken) == before:
            break
        mailbox.inbox.remove(max(mailbox.inbox.messages))
        mailbox.sync()
        Message.objects.filter(orphaned_at__isnull=False).delete()
        MessageChange.objects.all().delete()
        if is_first:
            Message.objects.all().delete()
            Folder.objects.all().delete()
    assert any(taken)


def test_only_what_arrived(mailbox: Mailbox) -> None:
    """Neither flags nor deletions, nor what a pass has yet to fetch."""
    for number in range(3):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.sync()
    before = mailbox.copy()["INBOX"]
    mailbox.inbox.set_flags(1, ["\\Flagged"])
    mailbox.inbox.remove(2)
    take_beside(mailbox)
    assert mailbox.copy()["INBOX"] == before
    mailbox.remote.deliver(raw_message("fresh"))
    take_beside(mailbox, "Archive")
    assert mailbox.copy()["INBOX"] == before
    take_beside(mailbox)
    assert mailbox.copy()["INBOX"] == before | {4: (False, False, "fresh")}
    assert mailbox.folder().unread == 4


def test_into_a_folder_that_was_empty(mailbox: Mailbox) -> None:
    mailbox.sync()
    mailbox.remote.deliver(raw_message("fresh"))
    take_beside(mailbox)
    assert mailbox.subjects() == ["fresh"]


def test_a_folder_made_anew_is_left_to_the_pass(mailbox: Mailbox) -> None:
    mailbox.remote.deliver(raw_message("old"))
    mailbox.sync()
    mailbox.inbox.renumber()
    mailbox.remote.deliver(raw_message("fresh"))
    take_beside(mailbox)
    assert mailbox.subjects() == ["old"]


def test_it_is_told_of_though_its_folder_is_being_read(mailbox: Mailbox, people: People) -> None:
    add_webhook(people.admin.caller, url="https://127.0.0.1:1/", events=["*"])
    for number in range(3):
        mailbox.remote.deliver(raw_message(f"m{number}"))

    def arrive() -> None:
        mailbox.remote.deliver(raw_message("fresh"))
        take_beside(mailbox)
        assert told() == ["fresh"]

    mailbox.sync(store=Interfering(mailbox, {"fetch": 2}, arrive))
    mailbox.sync()
    assert told() == ["fresh"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["select", "look", "fetch"])
def test_over_dovecot(request: pytest.FixtureRequest, people: People, kind: str, when: str) -> None:
    user: DovecotUser = request.getfixturevalue(KINDS[kind])
    account = people.connect_mailbox(people.member, user)
    for number in range(6):
        user.deliver(raw_message(f"m{number}"))
        user.deliver(raw_message(f"other {number}"), "Archive")
    sync(account, ImapStore(user.settings()))
    user.deliver(raw_message("one more"))
    arrived: list[bool] = []

    def arrive() -> None:
        if not arrived:
            user.deliver(raw_message("fresh"))
            take_arrivals(account, ["INBOX"])
            arrived.append(Message.objects.filter(subject="fresh", body_state="stored").exists())

    sync(account, Meddled(user, when, arrive))
    assert arrived == [True]
    assert not were_hidden()
    sync(account, ImapStore(user.settings()))
    assert copy(account) == truth(user)
    assert Message.objects.filter(subject="fresh").count() == 1


class Meddled(ImapStore):
    """Calls `act` after the answer to a command, and before what it says is used."""

    def __init__(self, user: DovecotUser, when: str, act: Callable[[], None]) -> None:
        super().__init__(user.settings())
        self._when, self._act = when, act

    def select(self, path: str, *, read_only: bool = True) -> FolderStatus:
        found = super().select(path, read_only=read_only)
        self._meddle("select")
        return found

    def uids(self, criteria: str = "ALL") -> list[int]:
        found = super().uids(criteria)
        self._meddle("look")
        return found

    def changes(self, since: int, first: int = 1, last: int | None = None) -> Changes:
        found = super().changes(since, first, last)
        self._meddle("look")
        return found

    def fetch(self, uids: Sequence[int], *, headers_only: bool = False) -> Iterator[RemoteMessage]:
        found = list(super().fetch(uids, headers_only=headers_only))
        self._meddle("fetch")
        yield from found

    def _meddle(self, command: str) -> None:
        if command == self._when:
            self._act()


def test_on_gmail(gmail: GmailAccount) -> None:
    gmail.server.deliver(raw_message("one"), "\\Inbox")
    gmail.sync()
    gmail.server.deliver(raw_message("fresh"), "\\Inbox")
    take_arrivals(gmail.account, ["INBOX"])
    assert gmail.copy() == gmail.truth()
    assert "fresh" in gmail.copy()["INBOX"]
    gmail.sync()
    assert gmail.copy() == gmail.truth()


@pytest.mark.django_db(transaction=True)
def test_a_watcher_stores_it_while_a_first_pass_takes_its_time(connected: Connected) -> None:
    account, user = connected.account, connected.user
    for number in range(5):
        user.deliver(raw_message(f"m{number}"))
        user.deliver(raw_message(f"other {number}"), "Archive")
    run = long_run(account)

    def wait_for_fresh() -> None:
        if Message.objects.exists() and not Message.objects.filter(subject="fresh").exists():
            stands(WatchState.WATCHING)
            for subject in ("fresh", "fresher"):
                user.deliver(raw_message(subject))
                arrives(subject)

    with Watching():
        sync(account, Meddled(user, "fetch", wait_for_fresh))
        assert SyncRun.objects.get(pk=run.pk).is_active
        assert Message.objects.filter(subject="fresher").exists()
        with ImapStore(user.settings()) as other:
            other.select("INBOX", read_only=False)
            other.store_flags(other.uids(), add=["\\Seen"])
        end(run, "other", Outcome(SyncState.COMPLETED))
        # All else is for the run that follows.
        read = FolderEntry.objects.filter(message__subject="fresh", is_seen=True)
        wait_until(read.exists, "it is read here too")
    assert copy(account) == truth(user)


def long_run(account: EmailAccount) -> SyncRun:
    """A run that some worker has, and will have for a while."""
    return SyncRun.objects.create(
        account=account,
        state=SyncState.RUNNING,
        worker="other",
        started_at=timezone.now(),
        heartbeat_at=timezone.now() + timedelta(hours=1),
    )

"""A pass over a POP3 account: the maildrop in memory on one side, the copy on the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import (
    BodyState,
    Folder,
    FolderEntry,
    MaildropMessage,
    Message,
    SkippedMessage,
)
from mailboxes.pop3 import change_pop3_messages, fetch_again
from mailboxes.raw_store import RawStore
from mailboxes.signals import message_stored
from mailboxes.sync.control import Control, Interruption, PassInterrupted, Progress
from mailboxes.sync.engine import Order
from mailboxes.sync.pop3_pass import Pop3Pass
from mailboxes.wishes import Wish
from mailhub.errors import Busy, Conflict, NotFound
from mailhub.mail.errors import (
    CapabilityMissing,
    CommandRefused,
    FolderMissing,
    LoginFailed,
    MessageMissing,
)
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.maildrop import Retrieved
from mailhub.mail.stores.maildrop_in_memory import InMemoryMaildrop, InMemoryMaildropServer
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.people import People

pytestmark = pytest.mark.django_db


class Pop3Account:
    """`remote` is the maildrop; `sync` brings the copy up to date."""

    def __init__(self, account: EmailAccount) -> None:
        self.account = account
        self.server = InMemoryMaildropServer()
        self.remote = self.server.add_account(account.username, "secret")

    def maildrop(self, *_: object) -> InMemoryMaildrop:
        return InMemoryMaildrop(self.server, PasswordLogin(self.account.username, "secret"))

    def sync(
        self,
        *,
        full: bool = False,
        folders: Iterable[str] = (),
        began: datetime | None = None,
        interruption: Callable[[], Interruption | None] = lambda: None,
        **options: Any,
    ) -> Progress:
        order = Order(uuid.uuid4(), began or timezone.now(), full, frozenset(folders))
        progress = Progress()
        with self.maildrop() as maildrop:
            control = Control(progress, interruption)
            Pop3Pass(maildrop, self.account.pk, order, control, **options).run()
        return progress

    def deliver(self, *subjects: str, **headers: str) -> list[str]:
        return [self.remote.deliver(raw_message(subject, **headers)) for subject in subjects]

    def ids(self) -> dict[str, int]:
        rows = FolderEntry.objects.filter(account=self.account)
        return dict(rows.values_list("message__subject", "message_id"))

    def change(self, subject: str, wish: Wish) -> None:
        pk = self.ids()[subject]
        problems = change_pop3_messages(self.account, [pk], wish, open_maildrop=self.maildrop)
        if pk in problems:
            raise problems[pk]


@pytest.fixture
def pop3(people: People) -> Pop3Account:
    return Pop3Account(people.connect_account(people.member, password="secret", protocol="pop3"))


def test_the_newest_come_first_and_each_once(pop3: Pop3Account) -> None:
    names = pop3.deliver("one", "two", "three")
    progress = pop3.sync()
    assert pop3.server.retrieved == names[::-1]
    assert set(pop3.ids()) == {"one", "two", "three"}
    assert (progress.messages_done, progress.messages_total, progress.folders_done) == (3, 3, 1)
    pop3.deliver("four")
    pop3.sync()
    assert len(pop3.server.retrieved) == 4
    pop3.sync()
    assert len(pop3.server.retrieved) == 4
    folder = Folder.objects.get(account=pop3.account)
    assert (folder.path, folder.role, folder.total, folder.unread) == ("INBOX", "inbox", 4, 4)
    message = Message.objects.get(subject="one")
    assert message.body_state == BodyState.STORED
    assert "Hi there." in message.text


def test_a_message_says_when_it_arrived(pop3: Pop3Account) -> None:
    pop3.deliver("by its last server", received="from a by b; Mon, 2 Nov 2026 08:00:00 +0100")
    pop3.deliver("by its sender")
    pop3.deliver("from the future", received="by b; Mon, 2 Nov 2099 08:00:00 +0100", date="?")
    before = timezone.now()
    pop3.sync()
    arrived = dict(Message.objects.values_list("subject", "received_at"))
    assert arrived["by its last server"] == datetime(2026, 11, 2, 7, tzinfo=UTC)
    assert arrived["by its sender"] == datetime(2026, 11, 3, 10, tzinfo=UTC)
    assert before <= arrived["from the future"] <= timezone.now()


def test_what_the_server_has_no_more_stays(pop3: Pop3Account) -> None:
    (name,) = pop3.deliver("kept")
    pop3.deliver("left")
    pop3.sync()
    ids = pop3.ids()
    pop3.remote.messages.clear()
    pop3.sync(full=True)
    assert pop3.ids() == ids
    pop3.remote.deliver(raw_message("kept", message_id="<again@example.org>"), name)
    pop3.sync()
    assert pop3.ids() == ids
    assert len(pop3.server.retrieved) == 2


def test_a_server_that_gives_new_names_makes_no_second_copies(pop3: Pop3Account) -> None:
    pop3.deliver("one", "two", "two")
    pop3.sync()
    FolderEntry.objects.filter(message__subject="one").update(is_seen=True)
    ids = set(FolderEntry.objects.values_list("message_id", flat=True))
    assert len(ids) == 3
    pop3.remote.rename_all()
    pop3.sync()
    assert set(FolderEntry.objects.values_list("message_id", flat=True)) == ids
    assert FolderEntry.objects.get(message__subject="one").is_seen
    pop3.sync()
    assert len(pop3.server.retrieved) == 6


def test_copies_in_the_maildrop_are_messages_of_their_own(pop3: Pop3Account) -> None:
    content = raw_message("twice")
    pop3.remote.deliver(content)
    pop3.remote.deliver(content)
    pop3.sync()
    pop3.sync()
    assert FolderEntry.objects.count() == Message.objects.count() == 2


def test_a_message_that_is_refused_stops_nothing(pop3: Pop3Account) -> None:
    _, bad, _ = pop3.deliver("one", "bad", "three")
    pop3.server.misbehaviour.refused.add(bad)
    for _ in range(3):
        assert pop3.sync().messages_skipped == 1
    assert set(pop3.ids()) == {"one", "three"}
    assert pop3.sync().messages_skipped == 0, "left alone after three tries"
    pop3.server.misbehaviour.refused.clear()
    pop3.sync()
    assert "bad" not in pop3.ids()
    pop3.sync(full=True)
    assert "bad" in pop3.ids()
    assert not SkippedMessage.objects.exists()


def test_a_message_that_breaks_the_session_is_left_for_last(pop3: Pop3Account) -> None:
    _, bad, _ = pop3.deliver("one", "bad", "three")
    pop3.server.misbehaviour.drop_at.add(bad)
    assert pop3.sync().messages_skipped == 1
    assert set(pop3.ids()) == {"one", "three"}
    pop3.server.misbehaviour.drop_at.clear()
    pop3.sync()
    assert set(pop3.ids()) == {"one", "bad", "three"}


def test_a_server_that_drops_every_session_is_got_through(pop3: Pop3Account) -> None:
    pop3.deliver(*map(str, range(10)))
    pop3.server.misbehaviour.drop_after = 3
    assert pop3.sync().messages_skipped == 0
    assert len(pop3.ids()) == 10
    assert len(set(pop3.server.retrieved)) == len(pop3.server.retrieved) == 10


def test_a_server_that_takes_no_new_session_ends_the_pass_and_what_came_stays(
    pop3: Pop3Account,
) -> None:
    names = pop3.deliver(*map(str, range(6)))
    pop3.server.misbehaviour.drop_at.add(names[2])

    class LockedAfterwards(InMemoryMaildrop):
        def close(self) -> None:
            pop3.remote.password = "locked"
            super().close()

    login = PasswordLogin(pop3.account.username, "secret")
    order = Order(uuid.uuid4(), timezone.now())
    for _ in range(2):
        pop3.remote.password = "secret"
        with LockedAfterwards(pop3.server, login) as maildrop, pytest.raises(LoginFailed):
            Pop3Pass(maildrop, pop3.account.pk, order, Control(Progress())).run()
    assert set(pop3.ids()) == {"3", "4", "5"}
    assert SkippedMessage.objects.get().tries == 2
    pop3.remote.password = "secret"
    assert pop3.sync().messages_skipped == 1
    assert set(pop3.ids()) == {"0", "1", "3", "4", "5"}, "it is left alone after three tries"


@pytest.mark.parametrize("reason", list(Interruption))
def test_an_interrupted_pass_is_taken_up_where_it_left(
    pop3: Pop3Account, reason: Interruption
) -> None:
    pop3.deliver(*map(str, range(6)))

    def after_three() -> Interruption | None:
        return reason if len(pop3.server.retrieved) >= 3 else None

    with pytest.raises(PassInterrupted):
        pop3.sync(interruption=after_three)
    assert len(pop3.ids()) == (0 if reason is Interruption.LOST else 3)
    pop3.sync()
    assert len(pop3.ids()) == FolderEntry.objects.count() == 6


def test_without_unique_ids_the_pass_says_so(pop3: Pop3Account) -> None:
    pop3.deliver("one")
    pop3.server.capabilities -= {"UIDL"}
    with pytest.raises(CapabilityMissing):
        pop3.sync()


def test_of_a_large_message_the_header_is_kept(pop3: Pop3Account) -> None:
    pop3.remote.deliver(raw_message("large", text="x" * 5000))
    pop3.deliver("small")
    pop3.sync(largest_kept=1000)
    large = Message.objects.get(subject="large")
    assert (large.body_state, large.raw_digest) == (BodyState.TOO_LARGE, "")
    assert large.size > 5000
    pop3.sync(largest_kept=1000, delete_after=timedelta(0))
    assert len(pop3.remote.messages) == 1, "what is not kept here stays there"
    assert len(pop3.server.retrieved) == 1
    assert fetch_again(large, open_maildrop=pop3.maildrop).endswith(b"xxx\r\n")


def test_sizes_that_lie_cost_no_memory(pop3: Pop3Account) -> None:
    stored: list[int] = []

    class Liar(InMemoryMaildrop):
        def sizes(self) -> dict[int, int]:
            return {}

        def retrieve(self, numbers: Sequence[int], *, largest: int = 0) -> Iterator[Retrieved]:
            for row in super().retrieve(numbers, largest=largest):
                stored.append(FolderEntry.objects.count())
                yield row

    for number in range(4):
        pop3.remote.deliver(raw_message(str(number), text="x" * 6_000_000))
    order = Order(uuid.uuid4(), timezone.now())
    with Liar(pop3.server, PasswordLogin(pop3.account.username, "secret")) as maildrop:
        Pop3Pass(maildrop, pop3.account.pk, order, Control(Progress())).run()
    assert stored == [0, 0, 0, 3], "so much is not held at once"
    assert len(pop3.ids()) == 4


def test_failures_of_messages_that_are_gone_are_forgotten(pop3: Pop3Account) -> None:
    (bad,) = pop3.deliver("bad")
    pop3.server.misbehaviour.refused.add(bad)
    pop3.sync()
    assert SkippedMessage.objects.count() == 1
    pop3.remote.remove(bad)
    pop3.sync()
    assert not SkippedMessage.objects.exists()


def test_new_messages_are_announced(
    pop3: Pop3Account, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[int] = []

    def listen(sender: object, message_ids: list[int], **_: object) -> None:
        heard.extend(message_ids)

    message_stored.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            pop3.deliver("one")
            pop3.sync()
            pop3.sync()
    finally:
        message_stored.disconnect(listen)
    assert heard == [pop3.ids()["one"]]


def test_only_the_inbox_can_be_named(pop3: Pop3Account) -> None:
    pop3.deliver("one")
    pop3.sync(folders=["INBOX"])
    assert len(pop3.ids()) == 1
    with pytest.raises(FolderMissing):
        pop3.sync(folders=["Sent"])


def test_nothing_is_deleted_on_the_server_unless_asked(pop3: Pop3Account) -> None:
    pop3.deliver("one", "two")
    pop3.sync()
    pop3.change("one", Wish(delete=True))
    pop3.sync()
    assert len(pop3.remote.messages) == 2
    assert set(pop3.ids()) == {"two"}, "it does not come back"


def test_what_is_kept_here_for_long_is_deleted_there_where_asked(pop3: Pop3Account) -> None:
    pop3.deliver("old", "lost", "discarded")
    pop3.sync()
    pop3.change("discarded", Wish(delete=True))
    lost = Message.objects.get(subject="lost")
    RawStore(pop3.account.pk).delete([lost.raw_digest])
    MaildropMessage.objects.update(listed_at=timezone.now() - timedelta(days=8))
    pop3.deliver("new")
    pop3.sync(delete_after=timedelta(days=7))
    left = list(pop3.remote.messages.values())
    assert [b"Subject: lost" in content for content in left] == [True, False]
    assert b"Subject: new" in left[1]
    pop3.sync(delete_after=timedelta(days=7))
    assert set(pop3.ids()) == {"old", "lost", "new"}


def test_flags_are_kept_here(pop3: Pop3Account) -> None:
    pop3.deliver("one")
    pop3.sync()
    pop3.change("one", Wish(is_read=True, is_flagged=True))
    pop3.sync(full=True)
    entry = FolderEntry.objects.get()
    assert (entry.is_seen, entry.is_flagged) == (True, True)
    assert Folder.objects.get().unread == 0
    assert pop3.server.sessions == 2, "nobody asked the server"


def test_a_deletion_reaches_the_server_where_the_account_says_so(pop3: Pop3Account) -> None:
    pop3.account.delete_from_server_after_days = 30
    pop3.deliver("one", "two")
    pop3.sync()
    pop3.change("one", Wish(delete=True))
    assert [b"Subject: two" in content for content in pop3.remote.messages.values()] == [True]
    assert set(pop3.ids()) == {"two"}
    pop3.remote.messages.clear()
    pop3.change("two", Wish(delete=True))
    assert pop3.ids() == {}


def test_a_deletion_that_the_server_does_not_take_is_none(pop3: Pop3Account) -> None:
    pop3.account.delete_from_server_after_days = 30
    pop3.deliver("one")
    pop3.sync()
    pop3.remote.password = "changed"
    pk = pop3.ids()["one"]
    problems = change_pop3_messages(
        pop3.account, [pk], Wish(delete=True), open_maildrop=pop3.maildrop
    )
    assert problems[pk].code == "login_failed"
    assert pop3.ids() == {"one": pk}


def test_nothing_moves(pop3: Pop3Account) -> None:
    pop3.deliver("one")
    pop3.sync()
    elsewhere = Folder.objects.create(account=pop3.account, path="Old")
    with pytest.raises(Conflict, match="one folder") as caught:
        pop3.change("one", Wish(folder=elsewhere))
    assert caught.value.code == "one_folder"
    pop3.change("one", Wish(folder=Folder.objects.get(path="INBOX")))
    with pytest.raises(Conflict):
        pop3.change("one", Wish(delete=True, from_folder_id=elsewhere.pk))
    missing = change_pop3_messages(pop3.account, [10**9], Wish(is_read=True))
    assert isinstance(missing[10**9], NotFound)


def test_a_message_whose_octets_are_gone_here_is_fetched_again(pop3: Pop3Account) -> None:
    (name,) = pop3.deliver("one")
    pop3.sync()
    message = Message.objects.get()
    RawStore(pop3.account.pk).delete([message.raw_digest])
    assert fetch_again(message, open_maildrop=pop3.maildrop) == pop3.remote.messages[name]
    pop3.remote.remove(name)
    with pytest.raises(MessageMissing):
        fetch_again(message, open_maildrop=pop3.maildrop)


def test_names_that_neither_side_has_are_forgotten_in_the_end(pop3: Pop3Account) -> None:
    pop3.deliver("kept", "deleted")
    pop3.sync()
    pop3.change("deleted", Wish(delete=True))
    pop3.remote.messages.clear()
    pop3.sync()
    assert MaildropMessage.objects.count() == 2
    MaildropMessage.objects.update(absent_since=timezone.now() - timedelta(days=31))
    pop3.sync()
    assert MaildropMessage.objects.count() == 1
    assert set(pop3.ids()) == {"kept"}


def test_an_account_that_was_read_over_imap_keeps_its_mail(mailbox: Mailbox) -> None:
    both, only_there = raw_message("both"), raw_message("only over imap")
    mailbox.inbox.deliver(both, flags=["\\Seen"])
    mailbox.inbox.deliver(only_there)
    mailbox.sync()
    ids = mailbox.ids()
    pop3 = Pop3Account(mailbox.account)
    pop3.remote.deliver(both)
    pop3.deliver("only over pop3")
    pop3.sync()
    assert {name: pop3.ids()[name] for name in ids} == ids
    assert set(pop3.ids()) == {"both", "only over imap", "only over pop3"}
    assert FolderEntry.objects.get(message__subject="both").is_seen
    assert not FolderEntry.objects.filter(uid__lt=0).exists()
    pop3.change("only over imap", Wish(delete=True))
    mailbox.sync()
    assert mailbox.ids()["both"] == ids["both"]
    assert set(mailbox.ids()) == {"both", "only over imap"}


def test_the_numbers_of_a_folder_about_to_be_read_anew_are_not_used(mailbox: Mailbox) -> None:
    mailbox.inbox.deliver(raw_message("one"))
    mailbox.sync()
    pop3 = Pop3Account(mailbox.account)
    FolderEntry.objects.update(uid=-5)
    with pytest.raises(Busy):
        pop3.change("one", Wish(delete=True))


def test_a_refused_deletion_is_told(pop3: Pop3Account) -> None:
    class Refusing(InMemoryMaildrop):
        def delete(self, numbers: object) -> set[int]:
            return set()

    pop3.account.delete_from_server_after_days = 0
    pop3.deliver("one")
    pop3.sync()
    login = PasswordLogin(pop3.account.username, "secret")
    (problem,) = change_pop3_messages(
        pop3.account,
        list(pop3.ids().values()),
        Wish(delete=True),
        open_maildrop=lambda _: Refusing(pop3.server, login),
    ).values()
    assert isinstance(problem, CommandRefused)
    assert len(pop3.ids()) == 1

"""A pass over a POP3 account: the maildrop in memory on one side, the copy on the other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from mailboxes.models import (
    BodyState,
    Folder,
    FolderEntry,
    MaildropMessage,
    Message,
    SkippedMessage,
)
from mailboxes.pop3 import fetch_again
from mailboxes.signals import message_stored
from mailboxes.sync.control import Control, Interruption, PassInterrupted, Progress
from mailboxes.sync.engine import Order
from mailboxes.sync.pop3_pass import Pop3Pass
from mailboxes.wishes import Wish
from mailhub.mail.errors import (
    CapabilityMissing,
    FolderMissing,
    LoginFailed,
)
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.maildrop import Retrieved
from mailhub.mail.stores.maildrop_in_memory import InMemoryMaildrop
from tests.mailboxes.conftest import Mailbox, Pop3Account, raw_message

pytestmark = pytest.mark.django_db


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

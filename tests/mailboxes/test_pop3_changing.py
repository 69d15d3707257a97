"""What is done to messages of a POP3 account: kept here, and on the server where it is asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from mailboxes.models import (
    Folder,
    FolderEntry,
    MaildropMessage,
    Message,
)
from mailboxes.pop3 import change_pop3_messages, fetch_again
from mailboxes.raw_store import RawStore
from mailboxes.wishes import Wish
from mailhub.errors import Busy, Conflict, NotFound
from mailhub.mail.errors import (
    CommandRefused,
    MessageMissing,
)
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.maildrop_in_memory import InMemoryMaildrop
from tests.mailboxes.conftest import Mailbox, Pop3Account, raw_message

pytestmark = pytest.mark.django_db


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

"""Changing messages of a Gmail account: its server has it first, then the copy."""

from __future__ import annotations

from typing import Any

import pytest

from mailboxes.changing import change_messages
from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.raw_store import RawStore
from mailboxes.reading import raw_message as read_raw
from mailboxes.wishes import Wish
from mailhub.errors import Busy, Conflict
from mailhub.mail.errors import MessageMissing
from tests.mail.gmail_server import ALL, SPAM, TRASH, GmailMessage
from tests.mailboxes.conftest import GmailAccount, raw_message

pytestmark = pytest.mark.django_db


def folder(path: str) -> Folder:
    return Folder.objects.get(path=path)


def change(gmail: GmailAccount, **wish: Any) -> None:
    """Have it done to the one message; raises what stands against it."""
    pk = Message.objects.get().pk
    problems = change_messages(gmail.account, [pk], Wish(**wish), open_store=gmail.store)
    if problems:
        raise problems[pk]


def one(gmail: GmailAccount, *labels: str, place: str = ALL) -> GmailMessage:
    message = gmail.server.deliver(raw_message("one"), *labels, place=place)
    gmail.sync()
    return message


def agree(gmail: GmailAccount, *paths: str) -> None:
    """The copy says the same as the server, before the next pass and after it."""
    expected = {path: {"one"} for path in paths}
    pk = Message.objects.get().pk
    assert gmail.truth() == expected
    assert gmail.copy() == expected
    gmail.sync()
    assert gmail.copy() == expected
    assert (Message.objects.get().pk, gmail.server.fetched_bodies) == (pk, 1)
    counts = dict(Folder.objects.filter(total__gt=0).values_list("path", "total"))
    assert counts == dict.fromkeys(paths, 1)


def test_flags_are_set_once_and_shown_under_every_label(gmail: GmailAccount) -> None:
    message = one(gmail, "\\Inbox", "Arbeit")
    change(gmail, is_read=True, is_flagged=True)
    assert message.flags == {"\\Seen", "\\Flagged"}
    assert set(FolderEntry.objects.values_list("is_seen", "is_flagged")) == {(True, True)}
    assert folder("INBOX").unread == folder(ALL).unread == 0
    agree(gmail, ALL, "INBOX", "Arbeit")


def test_a_move_from_the_inbox_changes_labels(gmail: GmailAccount) -> None:
    one(gmail, "\\Inbox", "\\Important")
    change(gmail, folder=folder("Arbeit/Über"))
    agree(gmail, ALL, "[Gmail]/Important", "Arbeit/Über")


def test_a_message_of_several_labels_leaves_the_one_that_is_named(gmail: GmailAccount) -> None:
    one(gmail, "\\Inbox", "Arbeit")
    with pytest.raises(Conflict) as caught:
        change(gmail, folder=folder("Arbeit/Über"))
    assert caught.value.code == "several_folders"
    change(gmail, folder=folder("Arbeit/Über"), from_folder_id=folder("INBOX").pk)
    agree(gmail, ALL, "Arbeit", "Arbeit/Über")


def test_a_label_is_added_to_what_lies_in_all_mail(gmail: GmailAccount) -> None:
    one(gmail, "\\Inbox")
    change(gmail, folder=folder("Arbeit"), from_folder_id=folder(ALL).pk)
    agree(gmail, ALL, "INBOX", "Arbeit")


def test_a_move_to_all_mail_archives(gmail: GmailAccount) -> None:
    one(gmail, "\\Inbox")
    change(gmail, folder=folder(ALL))
    agree(gmail, ALL)


@pytest.mark.parametrize("place", [TRASH, SPAM])
def test_trash_and_spam_end_all_labels(gmail: GmailAccount, place: str) -> None:
    one(gmail, "\\Inbox", "Arbeit")
    change(gmail, folder=folder(place))
    agree(gmail, place)


def test_a_deletion_goes_to_the_trash_and_from_there_for_good(gmail: GmailAccount) -> None:
    one(gmail, "\\Inbox", "Arbeit")
    change(gmail, delete=True)
    agree(gmail, TRASH)
    change(gmail, delete=True)
    assert gmail.server.messages == []
    assert gmail.copy() == {}


def test_a_permanent_deletion_does_not_archive(gmail: GmailAccount) -> None:
    one(gmail, "\\Inbox")
    change(gmail, delete=True, permanent=True)
    assert gmail.server.messages == []
    gmail.sync()
    assert gmail.copy() == {}


@pytest.mark.parametrize("place", [TRASH, SPAM])
def test_out_of_trash_and_spam(gmail: GmailAccount, place: str) -> None:
    one(gmail, place=place)
    change(gmail, folder=folder("INBOX"))
    agree(gmail, ALL, "INBOX")
    change(gmail, folder=folder(place))
    change(gmail, folder=folder(ALL))
    agree(gmail, ALL)


def test_what_is_gone_is_told(gmail: GmailAccount) -> None:
    one(gmail, "\\Inbox")
    gmail.server.messages.clear()
    with pytest.raises(MessageMissing):
        change(gmail, is_read=True)
    with pytest.raises(MessageMissing):
        change(gmail, folder=folder("Arbeit"))


def test_a_folder_that_it_does_not_lie_in(gmail: GmailAccount) -> None:
    one(gmail, "\\Inbox")
    with pytest.raises(Conflict) as caught:
        change(gmail, folder=folder(ALL), from_folder_id=folder("Arbeit").pk)
    assert caught.value.code == "not_in_folder"
    gmail.server.uid_validity = 9
    with pytest.raises(Busy):
        change(gmail, is_read=True)


def test_octets_that_are_gone_here_come_from_all_mail(gmail: GmailAccount, settings: Any) -> None:
    message = one(gmail, "\\Inbox")
    gmail.account.credential.keep_secret({"password": "top-secret"})
    gmail.account.credential.save()
    stored = Message.objects.get()
    RawStore(gmail.account.pk).delete([stored.raw_digest])
    assert read_raw(stored) == message.content
    assert set(gmail.server.selected) <= {ALL, SPAM, TRASH}

"""A pass over Gmail's labels: a server that speaks its dialect on one side, the copy beside it."""

from __future__ import annotations

import pytest

from accounts.event_webhooks import add_webhook
from accounts.models import Event
from mailboxes.models import Folder, FolderEntry, Message
from tests.mail.gmail_server import (
    ALL,
    DRAFTS,
    IMPORTANT,
    SENT,
    SPAM,
    STARRED,
    TRASH,
    GmailServer,
)
from tests.mailboxes.conftest import GmailAccount, raw_message
from tests.people import People

pytestmark = pytest.mark.django_db


def test_a_message_is_fetched_once_whatever_its_labels(gmail: GmailAccount) -> None:
    server = gmail.server
    server.deliver(raw_message("one"), "\\Inbox", "\\Important", "Arbeit", "Arbeit/Über")
    server.deliver(raw_message("two"), "\\Sent", "\\Starred")
    server.deliver(raw_message("three"))
    server.deliver(raw_message("draft"), "\\Draft")
    server.deliver(raw_message("junk"), place=SPAM)
    server.deliver(raw_message("gone"), "Arbeit", place=TRASH)
    gmail.sync()
    assert gmail.copy() == gmail.truth()
    assert gmail.copy()["Arbeit/Über"] == gmail.copy()[IMPORTANT] == {"one"}
    assert gmail.copy()[STARRED] == gmail.copy()[SENT] == {"two"}
    assert gmail.copy()[DRAFTS] == {"draft"}
    assert Message.objects.count() == server.fetched_bodies == 6
    assert set(server.selected) == {ALL, SPAM, TRASH}
    counts = dict(Folder.objects.values_list("path", "total"))
    assert (counts["INBOX"], counts["Arbeit"], counts[ALL], counts["Leer"]) == (1, 1, 4, 0)
    before = len(server.selected)
    gmail.sync()
    assert len(server.selected) == before, "nothing happened"


def test_labels_come_and_go_and_nothing_is_fetched_for_it(gmail: GmailAccount) -> None:
    server = gmail.server
    one = server.deliver(raw_message("one"), "\\Inbox")
    two = server.deliver(raw_message("two"), "\\Inbox", "Arbeit")
    gmail.sync()
    ids = dict(Message.objects.values_list("subject", "pk"))
    server.label(one, add="Arbeit", remove="\\Inbox")
    server.label(two, remove="Arbeit")
    gmail.sync()
    assert gmail.copy() == gmail.truth()
    assert gmail.copy()["Arbeit"] == {"one"}
    assert server.fetched_bodies == 2
    assert dict(Message.objects.values_list("subject", "pk")) == ids
    assert Folder.objects.get(path="INBOX").total == 1


def test_flags_are_the_same_under_every_label(gmail: GmailAccount) -> None:
    server = gmail.server
    one = server.deliver(raw_message("one"), "\\Inbox", "Arbeit")
    gmail.sync()
    assert Folder.objects.get(path="INBOX").unread == 1
    one.flags.add("\\Seen")
    server.label(one)
    gmail.sync()
    assert list(FolderEntry.objects.values_list("is_seen", flat=True)) == [True] * 3
    assert Folder.objects.get(path="INBOX").unread == 0


def test_a_message_that_goes_to_the_trash_and_back_keeps_its_id(gmail: GmailAccount) -> None:
    server = gmail.server
    one = server.deliver(raw_message("one"), "\\Inbox", "Arbeit")
    server.deliver(raw_message("two"), "\\Inbox")
    gmail.sync()
    pk = Message.objects.get(subject="one").pk
    server.move(one, TRASH)
    gmail.sync()
    assert gmail.copy() == gmail.truth()
    assert gmail.copy()[TRASH] == {"one"}
    server.move(one, ALL, "\\Inbox")
    gmail.sync()
    assert gmail.copy() == gmail.truth()
    assert Message.objects.get(subject="one").pk == pk
    assert server.fetched_bodies == 2


def test_a_message_deleted_for_good_leaves_all_labels(gmail: GmailAccount) -> None:
    server = gmail.server
    server.deliver(raw_message("one"), "\\Inbox", "Arbeit")
    server.deliver(raw_message("two"), "\\Inbox")
    gmail.sync()
    server.messages.pop(0)
    gmail.sync()
    assert gmail.copy() == gmail.truth() == {ALL: {"two"}, "INBOX": {"two"}}


def test_a_label_that_is_renamed_takes_its_messages_along(gmail: GmailAccount) -> None:
    server = gmail.server
    server.deliver(raw_message("one"), "Arbeit")
    gmail.sync()
    pk = Message.objects.get().pk
    server.rename_label("Arbeit", "Projekte")
    gmail.sync()
    assert gmail.copy() == gmail.truth() == {ALL: {"one"}, "Projekte": {"one"}}
    assert Message.objects.get().pk == pk


def test_asking_for_a_label_reads_all_mail(gmail: GmailAccount) -> None:
    server = gmail.server
    gmail.sync()
    server.deliver(raw_message("one"), "\\Inbox")
    gmail.sync(folders=[str(Folder.objects.get(path="INBOX").pk)])
    assert gmail.copy() == {ALL: {"one"}, "INBOX": {"one"}}
    assert "INBOX" not in server.selected


def test_all_mail_that_is_made_anew_keeps_ids(gmail: GmailAccount) -> None:
    server = gmail.server
    server.deliver(raw_message("one"), "\\Inbox", "Arbeit")
    server.deliver(raw_message("two"), "Arbeit")
    gmail.sync()
    ids = dict(Message.objects.values_list("subject", "pk"))
    server.uid_validity = 8
    for message in server.messages:
        message.uid += 100
    server._uids[ALL] += 100
    gmail.sync()
    assert gmail.copy() == gmail.truth()
    assert dict(Message.objects.values_list("subject", "pk")) == ids
    assert server.fetched_bodies == 2


def test_a_full_pass_finds_labels_that_were_lost_here(gmail: GmailAccount) -> None:
    gmail.server.deliver(raw_message("one"), "\\Inbox", "Arbeit")
    gmail.sync()
    FolderEntry.objects.filter(folder__path="Arbeit").delete()
    gmail.sync(full=True)
    assert gmail.copy() == gmail.truth()


def test_where_all_mail_is_hidden_labels_are_read_as_folders(people: People) -> None:
    with GmailServer(["Arbeit"], shows_all_mail=False) as server:
        account = people.connect_account(people.member, port=server.port, encryption="none")
        gmail = GmailAccount(account, server)
        server.deliver(raw_message("one"), "\\Inbox", "Arbeit")
        gmail.sync()
        assert gmail.copy() == {"INBOX": {"one"}, "Arbeit": {"one"}}
        assert server.fetched_bodies == 1
        server.shows_all_mail = True
        pk = Message.objects.get().pk
        gmail.sync()
        assert gmail.copy() == {ALL: {"one"}, "INBOX": {"one"}, "Arbeit": {"one"}}
        assert (Message.objects.get().pk, server.fetched_bodies) == (pk, 1)
        server.shows_all_mail = False
        gmail.sync()
        assert gmail.copy() == {"INBOX": {"one"}, "Arbeit": {"one"}}
        assert (Message.objects.get().pk, server.fetched_bodies) == (pk, 1)


def test_labels_are_shown_before_bodies_come(gmail: GmailAccount) -> None:
    gmail.server.deliver(raw_message("one"), "\\Inbox", "Arbeit")
    gmail.server.refused_bodies = True
    gmail.sync()
    assert gmail.copy() == gmail.truth()
    assert set(FolderEntry.objects.values_list("lacks_body", flat=True)) == {True}
    assert Folder.objects.get(path="INBOX").unread == 1
    gmail.server.refused_bodies = False
    gmail.sync()
    assert set(FolderEntry.objects.values_list("lacks_body", flat=True)) == {False}


def test_only_what_was_received_is_told_of_as_new(gmail: GmailAccount, people: People) -> None:
    add_webhook(people.admin.caller, url="https://127.0.0.1:1/", events=["*"])
    gmail.server.deliver(raw_message("old"), "\\Inbox")
    gmail.sync()
    gmail.server.deliver(raw_message("new"), "\\Inbox", "Arbeit")
    gmail.server.deliver(raw_message("to myself"), "\\Inbox", "\\Sent")
    gmail.server.deliver(raw_message("sent"), "\\Sent")
    gmail.server.deliver(raw_message("draft"), "\\Draft")
    gmail.sync()
    told = {}
    for event in Event.objects.filter(type="message.received"):
        subject = Message.objects.get(pk=event.data["id"]).subject
        paths = Folder.objects.filter(pk__in=event.data["folderIds"]).values_list("path", flat=True)
        told[subject] = set(paths)
    assert told == {"new": {ALL, "INBOX", "Arbeit"}, "to myself": {ALL, "INBOX", SENT}}

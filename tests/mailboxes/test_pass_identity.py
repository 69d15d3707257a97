"""Which message is which: what moves, is copied, or comes back keeps its id."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailboxes.models import Folder, FolderEntry, Message
from mailboxes.sync.fetching import Pace
from tests.mailboxes.conftest import Mailbox, raw_message
from tests.mailboxes.passes import (
    CONDSTORE,
    SERVERS,
    Announcements,
    Counting,
    Interfering,
)


def test_a_message_that_moves_keeps_its_id_and_is_not_fetched_again(mailbox: Mailbox) -> None:
    uid = mailbox.remote.deliver(raw_message("kept"))
    mailbox.sync()
    before = mailbox.message("kept").pk
    for path in ("Archive", "INBOX", "Trash"):
        source = next(f for f in mailbox.remote.folders.values() if uid in f.messages)
        uid = source.move(uid, path)
        fetching = Counting(mailbox.server)
        mailbox.sync(store=fetching.store(mailbox))
        assert mailbox.ids(path) == {"kept": before}
        assert fetching.bodies == []
    assert Message.objects.count() == 1


def test_a_move_into_a_folder_already_passed_keeps_the_id(mailbox: Mailbox) -> None:
    """Trash is read after Inbox: the message has vanished for the rest of this pass."""
    uid = mailbox.remote.deliver(raw_message("kept"), "Trash")
    mailbox.sync()
    before = mailbox.message("kept").pk

    def move() -> None:
        mailbox.remote.folder("Trash").move(uid, "INBOX")

    mailbox.remote.folder("Trash").deliver(raw_message("other"))
    mailbox.sync(store=Interfering(mailbox, {"status": 6}, move))
    assert mailbox.ids("INBOX") == {}
    assert mailbox.message("kept").orphaned_at is not None
    mailbox.sync()
    assert mailbox.ids("INBOX") == {"kept": before}
    assert mailbox.message("kept").orphaned_at is None


def test_a_copy_in_another_folder_is_the_same_message(mailbox: Mailbox) -> None:
    raw, at = raw_message("copied"), datetime(2026, 11, 1, tzinfo=UTC)
    mailbox.inbox.deliver(raw, received_at=at)
    mailbox.remote.folder("Archive").deliver(raw, received_at=at, flags=["\\Seen"])
    mailbox.sync()
    assert mailbox.ids("INBOX") == mailbox.ids("Archive")
    assert Message.objects.count() == 1
    assert set(FolderEntry.objects.values_list("is_seen", flat=True)) == {True, False}


def test_one_message_id_does_not_make_two_messages_one(mailbox: Mailbox) -> None:
    """Same Message-ID, size and second; only the header's trace differs, or the text."""
    at = datetime(2026, 11, 1, tzinfo=UTC)
    mine = raw_message("pay 10", message_id="<x@example.org>", received="by mx1 id AAA")
    forged = raw_message("pay 99", message_id="<x@example.org>", received="by mx1 id BBB")
    mailbox.inbox.deliver(mine, received_at=at)
    mailbox.remote.folder("Archive").deliver(forged, received_at=at)
    mailbox.sync()
    assert mailbox.subjects("INBOX") == ["pay 10"]
    assert mailbox.subjects("Archive") == ["pay 99"]


def test_without_message_id_the_content_decides(mailbox: Mailbox) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    same = raw_message("note", message_id="", text="one")
    other = raw_message("note", message_id="", text="two")
    uid = mailbox.inbox.deliver(same, received_at=at)
    mailbox.sync()
    before = mailbox.message("note").pk
    mailbox.inbox.move(uid, "Archive")
    mailbox.remote.folder("Archive").deliver(other, received_at=at)
    mailbox.sync()
    entries = FolderEntry.objects.filter(folder__path="Archive").order_by("uid")
    texts = [entry.message.text.strip() for entry in entries]
    assert texts == ["one", "two"]
    assert [entry.message_id == before for entry in entries] == [True, False]


def test_a_move_that_loses_the_arrival_keeps_the_id_by_content(mailbox: Mailbox) -> None:
    """Programs without MOVE append a copy and delete the old one."""
    raw = raw_message("appended")
    uid = mailbox.inbox.deliver(raw, received_at=datetime(2026, 11, 1, tzinfo=UTC))
    mailbox.sync()
    before = mailbox.message("appended").pk
    mailbox.inbox.remove(uid)
    mailbox.remote.deliver(raw, "Archive")
    mailbox.sync()
    assert mailbox.ids("Archive") == {"appended": before}


@SERVERS
def test_one_that_left_and_came_back_between_two_passes_keeps_its_id(
    mailbox: Mailbox, capabilities: frozenset[str]
) -> None:
    """A server without QRESYNC tells of the new UID before it is known that the old one went."""
    mailbox.server.capabilities = capabilities
    mailbox.remote.deliver(raw_message("first"))
    uid = mailbox.remote.deliver(raw_message("kept"))
    mailbox.sync()
    before = mailbox.ids()
    there = mailbox.inbox.move(uid, "Archive")
    mailbox.remote.folder("Archive").move(there, "INBOX")
    mailbox.remote.deliver(raw_message("new"))
    fetching = Counting(mailbox.server)
    mailbox.sync(store=fetching.store(mailbox))
    assert mailbox.copy() == mailbox.truth()
    assert mailbox.ids() == {**before, "new": mailbox.message("new").pk}
    assert len(fetching.bodies) == 1


def test_another_uidvalidity_keeps_ids_and_announces_nothing(mailbox: Mailbox) -> None:
    for name in "abcde":
        mailbox.remote.deliver(raw_message(name))
    mailbox.sync()
    before = mailbox.ids()
    mailbox.inbox.remove(2)
    mailbox.inbox.renumber()
    mailbox.remote.deliver(raw_message("f"))
    announced = Announcements()
    fetching = Counting(mailbox.server)
    with announced:
        mailbox.sync(store=fetching.store(mailbox))
    after = mailbox.ids()
    new = after.pop("f")
    assert after == {name: pk for name, pk in before.items() if name != "b"}
    assert announced.ids == [new]
    assert len(fetching.bodies) == 1
    assert mailbox.copy() == mailbox.truth()


@pytest.mark.parametrize("keeps_arrival", [True, False])
def test_a_folder_that_moves_as_a_whole_is_not_fetched_again(
    mailbox: Mailbox, keeps_arrival: bool
) -> None:
    """By size and arrival its messages may be known; without them their content tells."""
    for number in range(12):
        mailbox.remote.deliver(raw_message(f"m{number}"), "Archive")
    mailbox.sync()
    before = mailbox.ids("Archive")
    for uid in list(mailbox.remote.folder("Archive").messages):
        moved = mailbox.remote.folder("Archive").remove(uid)
        at = moved.received_at if keeps_arrival else datetime(2020, 1, 1, tzinfo=UTC)
        mailbox.remote.folder("Trash").deliver(moved.content, received_at=at)
    for number in range(3):
        mailbox.remote.deliver(raw_message(f"new{number}"), "Trash")
    fetching = Counting(mailbox.server)
    mailbox.sync(store=fetching.store(mailbox), headers_first=1)
    after = mailbox.ids("Trash")
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"new0", "new1", "new2"}
    assert len(fetching.bodies) == (3 if keeps_arrival else 15)
    assert mailbox.copy() == mailbox.truth()


def test_size_and_arrival_alone_make_no_two_messages_one(mailbox: Mailbox) -> None:
    """Nor do they have a message of the same folder fetched in two steps."""
    at = datetime(2026, 11, 1, tzinfo=UTC)
    for name in "abcdef":
        mailbox.inbox.deliver(raw_message(name), received_at=at)
    mailbox.remote.folder("Archive").deliver(raw_message("g"), received_at=at)
    fetching = Counting(mailbox.server)
    mailbox.sync(store=fetching.store(mailbox), headers_first=2)
    assert mailbox.copy() == mailbox.truth()
    assert Message.objects.count() == 7
    assert fetching.headers == 3
    assert sorted(fetching.bodies) == [1, 1, 2, 3, 4, 5, 6]


def test_copies_in_one_folder_are_messages_of_their_own_however_fetched(mailbox: Mailbox) -> None:
    raw = raw_message("twice")
    for content in (raw, raw, raw_message("once"), raw):
        mailbox.remote.deliver(content)
    mailbox.sync(headers_first=0, pace=Pace(1, 1))
    assert mailbox.copy() == mailbox.truth()
    assert Message.objects.count() == 4


def test_what_left_the_folder_and_came_back_keeps_its_id_however_fetched(mailbox: Mailbox) -> None:
    mailbox.server.capabilities = CONDSTORE
    raw = raw_message("kept")
    uid = mailbox.remote.deliver(raw)
    mailbox.sync()
    before = mailbox.ids()
    mailbox.inbox.remove(uid)
    mailbox.remote.deliver(raw)
    mailbox.sync(headers_first=0)
    assert mailbox.ids() == before
    assert mailbox.copy() == mailbox.truth()


def test_a_deleted_folder_goes_and_a_renamed_one_keeps_its_messages(mailbox: Mailbox) -> None:
    mailbox.remote.add_folder("Old")
    mailbox.remote.deliver(raw_message("kept"), "Old")
    mailbox.sync()
    before = mailbox.ids("Old")
    new = mailbox.remote.add_folder("New")
    new.messages, new.uid_next = mailbox.remote.folder("Old").messages, 2
    mailbox.remote.remove_folder("Old")
    mailbox.sync()
    assert mailbox.ids("New") == before
    assert not Folder.objects.filter(path="Old").exists()

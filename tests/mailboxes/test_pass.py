"""A pass over a mailbox: what it stores, what it notices, what survives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import TestCase
from django.utils import timezone

from mailboxes.models import Attachment, BodyState, Folder, FolderEntry, Message, SkippedMessage
from mailboxes.signals import message_stored
from mailboxes.sync.control import Interruption, PassInterrupted
from mailboxes.sync.fetching import Pace
from mailboxes.sync.message_store import MessageStore
from mailhub.mail.errors import ConnectionFailed, MailError, ProtocolViolation, ServerTimeout
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.base import RemoteMessage
from mailhub.mail.stores.in_memory import InMemoryMailServer, InMemoryStore
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message

NO_CONDSTORE = frozenset({"IMAP4REV1", "UIDPLUS"})
CONDSTORE = NO_CONDSTORE | {"CONDSTORE"}
QRESYNC = CONDSTORE | {"QRESYNC", "LIST-STATUS"}
SERVERS = pytest.mark.parametrize(
    "capabilities", [QRESYNC, CONDSTORE, NO_CONDSTORE], ids=["qresync", "condstore", "poor"]
)


def test_stores_headers_text_attachments_and_the_raw_message(mailbox: Mailbox) -> None:
    raw = (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nTo: a@example.org, B <b@example.org>\r\n"
        b"Cc: c@example.org\r\nSubject: Report\r\nMessage-ID: <m1@example.org>\r\n"
        b"In-Reply-To: <m0@example.org>\r\nReferences: <m-1@example.org> <m0@example.org>\r\n"
        b"Date: Tue, 3 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nThe figures are attached.\r\n"
        b"--b\r\nContent-Type: text/csv\r\n"
        b'Content-Disposition: attachment; filename="f.csv"\r\n\r\n'
        b"1,2\r\n--b--\r\n"
    )
    at = datetime(2026, 11, 3, 9, 0, 5, tzinfo=UTC)
    mailbox.inbox.deliver(raw, flags=["\\Seen", "$Label"], received_at=at)
    mailbox.sync()

    message = mailbox.message("Report")
    assert message.sender == {"name": "Jürgen", "address": "j@example.org"}
    assert [person["address"] for person in message.to] == ["a@example.org", "b@example.org"]
    assert message.in_reply_to == "m0@example.org"
    assert message.references == ["m-1@example.org", "m0@example.org"]
    assert message.date == datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
    assert message.received_at == at
    assert message.size == len(raw)
    assert message.snippet == "The figures are attached."
    assert message.has_attachments
    assert message.body_state == BodyState.STORED
    attachment = Attachment.objects.get(message=message)
    assert (attachment.filename, attachment.content_type) == ("f.csv", "text/csv")
    entry = FolderEntry.objects.get(message=message)
    assert entry.is_seen and entry.keywords == ["$Label"] and not entry.lacks_body
    folder = mailbox.folder()
    assert (folder.role, folder.total, folder.unread) == ("inbox", 1, 0)


def test_nothing_is_selected_where_nothing_happened(mailbox: Mailbox) -> None:
    mailbox.remote.deliver(raw_message())
    mailbox.sync()
    mailbox.server.commands.clear()
    progress = mailbox.sync()
    assert "select" not in mailbox.server.commands
    assert progress.folders_done == progress.folders_total == 6


@SERVERS
def test_the_inbox_of_a_new_account_waits_for_no_other_folder(
    mailbox: Mailbox, capabilities: frozenset[str]
) -> None:
    mailbox.server.capabilities = capabilities
    for number in range(60):
        mailbox.remote.deliver(raw_message(f"m{number}"))
        mailbox.remote.add_folder(f"Folder {number}").deliver(raw_message(f"other {number}"))
    before: list[str] = []

    class Store(InMemoryStore):
        def _count(self, name: str) -> None:
            if len(mailbox.subjects()) < 50:
                before.append(name)
            super()._count(name)

    mailbox.sync(store=Store(mailbox.server, PasswordLogin(mailbox.account.username, PASSWORD)))
    assert mailbox.copy() == mailbox.truth()
    assert (before.count("status"), before.count("folders")) == (1, 0)


@SERVERS
def test_notices_what_another_program_did(mailbox: Mailbox, capabilities: frozenset[str]) -> None:
    mailbox.server.capabilities = capabilities
    first, second, third = (mailbox.remote.deliver(raw_message(name)) for name in "abc")
    mailbox.sync()
    mailbox.inbox.set_flags(first, ["\\Seen", "\\Flagged"])
    mailbox.inbox.remove(second)
    mailbox.remote.deliver(raw_message("d"))
    mailbox.sync()
    assert mailbox.copy() == mailbox.truth()
    assert mailbox.folder().unread == 2
    assert third in mailbox.copy()["INBOX"]


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


def test_a_deleted_message_goes_with_its_raw_message_after_a_full_round(mailbox: Mailbox) -> None:
    from mailboxes.raw_store import RawStore

    uid = mailbox.remote.deliver(raw_message("gone"))
    mailbox.sync()
    digest = mailbox.message("gone").raw_digest
    raw = RawStore(mailbox.account.pk)
    assert raw.get(digest) is not None
    mailbox.inbox.remove(uid)
    mailbox.sync()
    mailbox.sync()
    assert not Message.objects.exists()
    assert raw.get(digest) is None


def test_the_raw_message_stays_while_another_copy_needs_it(mailbox: Mailbox) -> None:
    from mailboxes.raw_store import RawStore

    raw = raw_message("twice")
    first, second = mailbox.remote.deliver(raw), mailbox.remote.deliver(raw)
    mailbox.sync()
    assert mailbox.subjects() == ["twice", "twice"]
    assert Message.objects.count() == 2, "two copies in one folder are two messages"
    digest = Message.objects.values_list("raw_digest", flat=True)[0]
    mailbox.inbox.remove(first)
    mailbox.sync()
    mailbox.sync()
    assert mailbox.copy()["INBOX"].keys() == {second}
    assert RawStore(mailbox.account.pk).get(digest) == raw


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


def test_a_rebuild_never_empties_the_list_in_between(mailbox: Mailbox) -> None:
    for name in "abcd":
        mailbox.remote.deliver(raw_message(name))
    mailbox.sync()
    mailbox.inbox.renumber()
    seen: list[int] = []
    mailbox.sync(store=Interfering(mailbox, {"fetch": 1}, lambda: seen.append(len(mailbox.ids()))))
    assert seen == [4]


def test_a_rebuild_that_was_interrupted_goes_on(mailbox: Mailbox) -> None:
    for name in "abcd":
        mailbox.remote.deliver(raw_message(name))
    mailbox.sync()
    before = mailbox.ids()
    mailbox.inbox.renumber()
    with pytest.raises(PassInterrupted):
        mailbox.sync(interruption=after_checks(9))
    mailbox.inbox.renumber()
    mailbox.sync()
    assert mailbox.ids() == before
    assert mailbox.copy() == mailbox.truth()


def test_headers_of_a_folder_come_before_its_bodies_newest_first(mailbox: Mailbox) -> None:
    for name in "abc":
        mailbox.remote.deliver(raw_message(name))
    fetching = Counting(mailbox.server)
    states: list[list[str]] = []
    fetching.before_bodies = lambda: states.append(mailbox.subjects())
    mailbox.sync(store=fetching.store(mailbox), pace=Pace(1, 1))
    assert states[0] == ["a", "b", "c"]
    assert fetching.bodies == [3, 2, 1]


def test_all_but_the_newest_are_fetched_and_stored_once(mailbox: Mailbox) -> None:
    names = [f"m{number:02}" for number in range(40)]
    for name in names:
        mailbox.remote.deliver(raw_message(name))
    fetching = Counting(mailbox.server)
    announced = Announcements()
    with announced:
        mailbox.sync(store=fetching.store(mailbox), pace=Pace(2000, 2000), headers_first=10)
    assert mailbox.subjects() == names
    assert fetching.headers == 10
    assert fetching.bodies == list(range(40, 0, -1)), "each once, newest first"
    assert sorted(announced.ids) == sorted(mailbox.ids().values()), "each once"
    assert mailbox.folder().total == mailbox.folder().unread == 40
    assert mailbox.progress.messages_done == mailbox.progress.messages_total == 40


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


def test_cancel_leaves_a_state_from_which_the_next_goes_on(mailbox: Mailbox) -> None:
    names = [f"m{number}" for number in range(30)]
    for name in names:
        mailbox.remote.deliver(raw_message(name))
    fetched: list[int] = []
    for checks in range(1, 60):
        fetching = Counting(mailbox.server)
        try:
            mailbox.sync(
                store=fetching.store(mailbox),
                interruption=after_checks(checks),
                pace=Pace(1000, 1000),
                headers_first=checks % 3,
            )
        except PassInterrupted as stopped:
            assert stopped.reason is Interruption.CANCELLED
            fetched += fetching.bodies
        else:
            fetched += fetching.bodies
            break
    assert mailbox.subjects() == names
    assert not FolderEntry.objects.filter(lacks_body=True).exists()
    assert len(set(fetched)) == 30


def test_interruptions_in_the_middle_of_bad_batches_lose_nothing(mailbox: Mailbox) -> None:
    for number in range(1, 13):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    for checks in range(1, 100):
        store = Poisoned(mailbox.server, mailbox.account.username, 7, ServerTimeout("silent"))
        try:
            mailbox.sync(
                store=store, interruption=after_checks(checks % 20), headers_first=checks % 4 * 3
            )
        except PassInterrupted:
            continue
        if not FolderEntry.objects.filter(lacks_body=True).exists():
            break
    mailbox.sync()
    assert mailbox.subjects() == [f"m{number}" for number in range(1, 13) if number != 7]
    assert not FolderEntry.objects.filter(lacks_body=True).exists()
    assert SkippedMessage.objects.get().uid == 7


def test_a_second_turn_of_a_run_does_not_go_through_folders_again(mailbox: Mailbox) -> None:
    mailbox.server.capabilities = NO_CONDSTORE
    for path in ("INBOX", "Sent"):
        mailbox.remote.deliver(raw_message(path), path)
    run_id, began = uuid.uuid4(), timezone.now()
    mailbox.sync(run_id=run_id, began=began, folders=[])
    mailbox.server.commands.clear()
    mailbox.sync(run_id=run_id, began=began)
    assert "select" not in mailbox.server.commands
    assert mailbox.progress.folders_done == 6


def test_only_the_named_folders(mailbox: Mailbox) -> None:
    mailbox.sync()
    mailbox.remote.deliver(raw_message("in"))
    mailbox.remote.deliver(raw_message("sent"), "Sent")
    mailbox.sync(folders=["Sent"])
    assert mailbox.subjects("Sent") == ["sent"]
    assert mailbox.subjects("INBOX") == []
    assert mailbox.progress.folders_total == 1


def test_a_folder_that_cannot_be_selected_is_parked_and_stops_nobody(mailbox: Mailbox) -> None:
    mailbox.remote.deliver(raw_message("in"))
    mailbox.server.misbehaviour.unselectable = {"Drafts"}
    for _ in range(4):
        mailbox.sync()
    drafts = mailbox.folder("Drafts")
    assert drafts.failures == 3
    assert drafts.is_parked
    assert "Drafts" in drafts.failure
    assert mailbox.subjects() == ["in"]

    mailbox.server.misbehaviour.unselectable = set()
    mailbox.remote.deliver(raw_message("draft"), "Drafts")
    mailbox.sync()
    assert mailbox.subjects("Drafts") == []
    mailbox.sync(full=True)
    assert mailbox.subjects("Drafts") == ["draft"]
    assert mailbox.folder("Drafts").failures == 0


def test_a_parked_folder_is_tried_again_after_an_hour(mailbox: Mailbox) -> None:
    mailbox.sync()
    mailbox.remote.deliver(raw_message("draft"), "Drafts")
    Folder.objects.filter(path="Drafts").update(
        failures=3, failed_at=timezone.now() - timedelta(minutes=61)
    )
    mailbox.sync()
    assert mailbox.subjects("Drafts") == ["draft"]


def test_a_message_that_is_not_handed_over_is_recorded_and_left_alone_in_the_end(
    mailbox: Mailbox,
) -> None:
    bad = mailbox.remote.deliver(raw_message("bad"))
    mailbox.remote.deliver(raw_message("good"))
    mailbox.server.misbehaviour.withheld = {("INBOX", bad)}
    for _ in range(3):
        progress = mailbox.sync()
        assert progress.messages_skipped == 1
    assert mailbox.subjects() == ["good"]
    skipped = SkippedMessage.objects.get()
    assert (skipped.uid, skipped.tries) == (bad, 3)
    assert mailbox.sync().messages_skipped == 0
    mailbox.server.misbehaviour.withheld = set()
    mailbox.sync(full=True)
    assert mailbox.subjects() == ["bad", "good"]
    assert not SkippedMessage.objects.exists()


def test_a_body_that_is_not_handed_over_leaves_the_header(mailbox: Mailbox) -> None:
    bad = mailbox.remote.deliver(raw_message("bad"))
    mailbox.remote.deliver(raw_message("good"))
    withheld = mailbox.server.misbehaviour.withheld
    fetching = Counting(mailbox.server)
    fetching.before_bodies = lambda: withheld.add(("INBOX", bad))
    for _ in range(3):
        mailbox.sync(store=fetching.store(mailbox))
    assert mailbox.message("bad").body_state == BodyState.UNAVAILABLE
    assert mailbox.message("good").body_state == BodyState.STORED
    fetching.before_bodies = lambda: None
    withheld.clear()
    mailbox.sync(full=True, store=fetching.store(mailbox))
    assert mailbox.message("bad").body_state == BodyState.STORED


@pytest.mark.parametrize("headers_first", [0, 200])
@pytest.mark.parametrize("failure", [ConnectionFailed, ServerTimeout, ProtocolViolation])
def test_a_message_that_breaks_the_connection_is_skipped(
    mailbox: Mailbox, failure: type[ConnectionFailed], headers_first: int
) -> None:
    for number in range(20):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    store = Poisoned(mailbox.server, mailbox.account.username, 7, failure("The poison worked."))
    mailbox.sync(store=store, headers_first=headers_first)
    assert len(mailbox.subjects()) == 19
    assert SkippedMessage.objects.get().reason == "The poison worked."
    assert not FolderEntry.objects.filter(lacks_body=True).exists()


def test_a_connection_lost_once_costs_nothing(mailbox: Mailbox) -> None:
    for number in range(20):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.server.misbehaviour.drop_after = 8
    dropped = mailbox.server.misbehaviour

    class Recovering(InMemoryStore):
        def open(self) -> None:
            if mailbox.server.commands.get("fetch"):
                dropped.drop_after = None
            super().open()

    mailbox.sync(
        store=Recovering(mailbox.server, PasswordLogin(mailbox.account.username, PASSWORD))
    )
    assert len(mailbox.subjects()) == 20
    assert not SkippedMessage.objects.exists()


def test_what_came_before_the_server_went_away_is_stored(mailbox: Mailbox) -> None:
    for number in range(20):
        mailbox.remote.deliver(raw_message(f"m{number}"))

    class Fading(InMemoryStore):
        def request(self, uids: Sequence[int]) -> Iterator[RemoteMessage]:
            yield from super().request(uids)
            mailbox.server.misbehaviour.fail_commands = ConnectionFailed("The server hung up.")

    login = PasswordLogin(mailbox.account.username, PASSWORD)
    with pytest.raises(ConnectionFailed, match="hung up"):
        # A batch holds a few of the messages.
        pace = Pace(smallest=500, largest=500)
        mailbox.sync(store=Fading(mailbox.server, login), headers_first=0, pace=pace)
    assert 0 < len(mailbox.subjects()) < 20


def test_a_server_that_is_gone_ends_the_pass_with_its_words(mailbox: Mailbox) -> None:
    mailbox.server.misbehaviour.fail_commands = ConnectionFailed("The server hung up.")
    with pytest.raises(ConnectionFailed, match="hung up"):
        mailbox.sync()


def test_a_server_that_lists_no_folders_is_not_believed(mailbox: Mailbox) -> None:
    mailbox.remote.deliver(raw_message("in"))
    mailbox.sync()
    mailbox.remote.folders.clear()
    with pytest.raises(ProtocolViolation):
        mailbox.sync()
    assert mailbox.subjects() == ["in"]


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


def test_a_second_program_in_the_middle_of_a_pass(mailbox: Mailbox) -> None:
    """Whatever it does between any two commands, the next pass has the truth, once each."""
    for number in range(12):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.sync()
    for turn in range(1, 8):

        def meddle(turn: int = turn) -> None:
            newest = max(mailbox.inbox.messages)
            mailbox.inbox.remove(newest)
            mailbox.inbox.set_flags(min(mailbox.inbox.messages), ["\\Seen", f"k{turn}"])
            mailbox.inbox.move(min(mailbox.inbox.messages), "Archive")
            mailbox.remote.deliver(raw_message(f"new{turn}"))

        mailbox.remote.deliver(raw_message(f"first{turn}"))
        mailbox.sync(store=Interfering(mailbox, {"any": 6 + turn}, meddle))
        mailbox.sync()
        assert mailbox.copy() == mailbox.truth()
    subjects = mailbox.subjects() + mailbox.subjects("Archive")
    assert len(subjects) == len(set(subjects))


@pytest.mark.parametrize("headers_first", [0, 200])
def test_a_message_too_large_to_keep_has_its_header(mailbox: Mailbox, headers_first: int) -> None:
    mailbox.remote.deliver(raw_message("big", text="x" * 5000))
    mailbox.remote.deliver(raw_message("small"))
    mailbox.sync(largest_kept=1000, headers_first=headers_first)
    assert mailbox.message("big").body_state == BodyState.TOO_LARGE
    assert mailbox.message("small").body_state == BodyState.STORED
    assert mailbox.progress.messages_done == 2
    fetching = Counting(mailbox.server)
    mailbox.sync(store=fetching.store(mailbox), largest_kept=1000)
    assert fetching.bodies == []


def test_hostile_octets_are_stored(mailbox: Mailbox) -> None:
    """NUL, broken charsets, no header at all, a header of 3 MB, a date from the future."""
    for content in (
        b"",
        b"\0\0\0",
        b"Subject: a\0b\r\n\r\n\xff\xfe\0",
        b"Subject: " + b"x" * 3_000_000 + b"\r\n\r\n",
        b"Date: Fri, 31 Dec 9999 23:59:59 -2300\r\nMessage-ID: <" + b"i" * 990 + b">\r\n\r\n",
        b"References: " + b"<a@b> " * 10_000 + b"\r\n\r\nhi",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 300,
        b"Content-Disposition: attachment; filename=" + b"n" * 5000 + b"\r\n\r\n",
    ):
        mailbox.remote.deliver(content)
    mailbox.remote.deliver(raw_message(), flags=["a\0b"])
    mailbox.sync()
    assert FolderEntry.objects.count() == 9
    assert not FolderEntry.objects.filter(lacks_body=True).exists()


def test_new_messages_are_announced_once_after_they_are_stored(mailbox: Mailbox) -> None:
    mailbox.remote.deliver(raw_message("a"))
    announced = Announcements()
    with announced:
        mailbox.sync()
        mailbox.inbox.move(1, "Archive")
        mailbox.sync()
        mailbox.remote.deliver(raw_message("b"))
        mailbox.sync(full=True)
    assert announced.ids == [mailbox.message("a").pk, mailbox.message("b").pk]
    assert announced.account_ids == {mailbox.account.pk}


def test_batches_stay_small_whatever_the_mailbox(mailbox: Mailbox) -> None:
    for number in range(700):
        mailbox.remote.deliver(raw_message(f"m{number}", text="y" * 2000))
    fetching = Counting(mailbox.server)
    mailbox.sync(store=fetching.store(mailbox), pace=Pace(16_000, 64_000))
    assert len(mailbox.subjects()) == 700
    assert fetching.largest <= 64_000 + 3000
    assert fetching.most <= 200
    assert fetching.headers == 200


# Who is killed closes no cursor.
@pytest.mark.filterwarnings("ignore:.*ServerSideCursor:ResourceWarning")
@pytest.mark.django_db(transaction=True)
def test_killed_between_any_two_statements_the_counts_are_right_in_the_end(
    mailbox: Mailbox,
) -> None:
    """The folder looks as if it were done from its checkpoint on, its counts are of before."""

    class Until:
        def __init__(self, left: int) -> None:
            self.left = left

        def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
            self.left -= 1
            if self.left < 0 and not sql.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
                raise Killed
            return execute(sql, *rest)

    mailbox.remote.deliver(raw_message("m"))
    mailbox.sync()
    for statements in range(5, 200):
        mailbox.inbox.set_flags(1, ["\\Seen"] if statements % 2 else [])
        try:
            with connection.execute_wrapper(Until(statements)):
                mailbox.sync()
        except Killed:
            mailbox.sync()
            unread = mailbox.inbox.status().unseen
            assert mailbox.folder().unread == unread, f"after {statements} statements"
        else:
            break
    assert statements > 20


class Killed(BaseException):
    """What a kill looks like from within: nothing catches it."""


@pytest.mark.parametrize("headers_first", [0, 1, 200])
def test_killed_before_any_command_the_next_pass_completes_it(
    mailbox: Mailbox, headers_first: int
) -> None:
    """Nothing lost, nothing doubled, whichever command was the last."""
    raw = [raw_message(f"m{number}") for number in range(6)]
    for number, content in enumerate(raw):
        mailbox.remote.deliver(content, "INBOX" if number % 2 else "Archive")

    def die() -> None:
        raise Killed

    for command in range(1, 200):
        before = dict(Message.objects.values_list("subject", "pk"))
        try:
            mailbox.sync(
                store=Interfering(mailbox, {"any": command}, die), headers_first=headers_first
            )
        except Killed:
            newest = max(mailbox.inbox.messages)
            mailbox.inbox.move(newest, "Archive")
            mailbox.remote.folder("Archive").move(
                min(mailbox.remote.folder("Archive").messages), "INBOX"
            )
            if command % 5 == 0:
                mailbox.inbox.renumber()
        else:
            break
        after = dict(Message.objects.values_list("subject", "pk"))
        assert before.items() <= after.items(), "ids are kept"
    mailbox.sync()
    assert mailbox.copy() == mailbox.truth()
    assert Message.objects.count() == 6
    assert not FolderEntry.objects.filter(lacks_body=True).exists()
    store = MessageStore(mailbox.account.pk)
    kept = [
        store.raw.get(digest) for digest in Message.objects.values_list("raw_digest", flat=True)
    ]
    assert sorted(content for content in kept if content) == sorted(raw)


def after_checks(number: int) -> Callable[[], Interruption | None]:
    """Cancelled at the so manieth question."""
    left = [number]

    def interruption() -> Interruption | None:
        left[0] -= 1
        return Interruption.CANCELLED if left[0] < 0 else None

    return interruption


class Announcements:
    """What `message_stored` said."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.account_ids: set[uuid.UUID] = set()

    def __enter__(self) -> None:
        message_stored.connect(self.note)
        self._commits = TestCase.captureOnCommitCallbacks(execute=True)
        self._commits.__enter__()

    def __exit__(self, *_: Any) -> None:
        self._commits.__exit__(None, None, None)
        message_stored.disconnect(self.note)

    def note(self, account_id: uuid.UUID, message_ids: list[int], **_: Any) -> None:
        assert Message.objects.filter(pk__in=message_ids).count() == len(message_ids)
        self.ids += message_ids
        self.account_ids.add(account_id)


class Counting:
    """A store of the server that counts the bodies it hands over."""

    def __init__(self, server: InMemoryMailServer) -> None:
        self.server = server
        self.bodies: list[int] = []
        self.largest = self.most = self.headers = 0
        self.before_bodies: Callable[[], None] = lambda: None

    def store(self, mailbox: Mailbox) -> InMemoryStore:
        counting = self

        class Store(InMemoryStore):
            def fetch(
                self, uids: Sequence[int], *, headers_only: bool = False
            ) -> Iterator[RemoteMessage]:
                if not headers_only:
                    counting.before_bodies()
                batch = list(super().fetch(uids, headers_only=headers_only))
                counting.most = max(counting.most, len(batch))
                if headers_only:
                    counting.headers += len(batch)
                else:
                    counting.bodies += [message.uid for message in reversed(batch)]
                    octets = sum(len(message.content) for message in batch)
                    counting.largest = max(counting.largest, octets)
                yield from batch

        return Store(self.server, PasswordLogin(mailbox.account.username, PASSWORD))


class Interfering(InMemoryStore):
    """Lets `act` happen once, before the so manieth command of a name ("any": of all)."""

    def __init__(self, mailbox: Mailbox, when: dict[str, int], act: Callable[[], None]) -> None:
        super().__init__(mailbox.server, PasswordLogin(mailbox.account.username, PASSWORD))
        (self._name, self._left), self._act = *when.items(), act

    def _count(self, name: str) -> None:
        if self._name in (name, "any"):
            self._left -= 1
            if self._left == 0:
                self._act()
        super()._count(name)


class Poisoned(InMemoryStore):
    """Breaks the connection whenever the body of one message is fetched."""

    def __init__(
        self, server: InMemoryMailServer, username: str, uid: int, error: MailError
    ) -> None:
        super().__init__(server, PasswordLogin(username, PASSWORD))
        self._uid, self._error = uid, error

    def fetch(self, uids: Sequence[int], *, headers_only: bool = False) -> Iterator[RemoteMessage]:
        for message in super().fetch(uids, headers_only=headers_only):
            if message.uid == self._uid:
                self.close()
                raise self._error
            yield message

"""A pass over a mailbox: what it stores, what it notices, what survives."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from mailboxes.models import Attachment, BodyState, FolderEntry, Message, SkippedMessage
from mailboxes.sync.control import Interruption, PassInterrupted
from mailboxes.sync.fetching import Pace
from mailhub.mail.errors import ServerTimeout
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.in_memory import InMemoryStore
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message
from tests.mailboxes.passes import (
    NO_CONDSTORE,
    SERVERS,
    Announcements,
    Counting,
    Interfering,
    Poisoned,
    after_checks,
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

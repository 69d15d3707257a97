"""Passes over what cannot be had: folders, messages and connections that fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from mailboxes.models import BodyState, Folder, FolderEntry, Message, SkippedMessage
from mailboxes.sync.fetching import Pace
from mailboxes.sync.message_store import MessageStore
from mailhub.mail.errors import ConnectionFailed, ProtocolViolation, ServerTimeout
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.base import RemoteMessage
from mailhub.mail.stores.in_memory import InMemoryStore
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message
from tests.mailboxes.passes import (
    Counting,
    Interfering,
    Poisoned,
)


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

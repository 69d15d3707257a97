"""A pass over a folder whose server tells what changed: what it asks for, and what it believes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mailboxes.models import SkippedMessage
from mailhub.mail.errors import CommandRefused, ProtocolViolation
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.base import Changes, RemoteMessage
from mailhub.mail.stores.in_memory import InMemoryStore
from tests.mailboxes.conftest import PASSWORD, Mailbox, raw_message

CONDSTORE = frozenset({"IMAP4REV1", "UIDPLUS", "CONDSTORE"})
QRESYNC = CONDSTORE | {"QRESYNC", "LIST-STATUS"}


@pytest.fixture(params=[QRESYNC, CONDSTORE], ids=["qresync", "condstore"])
def filled(request: pytest.FixtureRequest, mailbox: Mailbox) -> Mailbox:
    """Twenty messages in the inbox, read once, and nothing counted since."""
    mailbox.server.capabilities = request.param
    for number in range(20):
        mailbox.remote.deliver(raw_message(f"m{number}"))
    mailbox.sync()
    mailbox.server.commands.clear()
    return mailbox


def commands(mailbox: Mailbox) -> dict[str, int]:
    """What the pass asked of a folder, by name."""
    ways = ("select", "changes", "uids", "flags", "fetch")
    return {name: count for name, count in mailbox.server.commands.items() if name in ways}


def test_one_changed_flag_does_not_sweep_the_folder(filled: Mailbox) -> None:
    filled.inbox.set_flags(7, ["\\Flagged"])
    filled.sync()
    assert filled.copy() == filled.truth()
    assert commands(filled) == {"select": 1, "changes": 1}


def test_a_new_message_costs_its_header_and_its_body(filled: Mailbox) -> None:
    filled.remote.deliver(raw_message("new"))
    filled.sync()
    assert filled.copy() == filled.truth()
    assert commands(filled) == {"select": 1, "changes": 1, "fetch": 2}


def test_a_deletion_is_told_or_found_by_the_uids_alone(filled: Mailbox) -> None:
    filled.inbox.remove(7)
    filled.sync()
    assert filled.copy() == filled.truth()
    search = {} if "QRESYNC" in filled.server.capabilities else {"uids": 1}
    assert commands(filled) == {"select": 1, "changes": 1, **search}


def test_a_deletion_and_a_delivery_that_leave_the_count_alone(filled: Mailbox) -> None:
    filled.inbox.remove(7)
    filled.remote.deliver(raw_message("new"))
    filled.sync()
    assert filled.copy() == filled.truth()


def test_states_come_with_the_list_where_the_server_can(filled: Mailbox) -> None:
    filled.sync()
    together = "LIST-STATUS" in filled.server.capabilities
    assert filled.server.commands.get("status", 0) == (0 if together else 6)
    assert filled.progress.folders_done == 6


def test_what_changed_in_a_large_folder_is_asked_for_in_pieces(filled: Mailbox) -> None:
    for uid in range(1, 11):
        filled.inbox.set_flags(uid, ["\\Seen"])
    filled.inbox.remove(12)
    filled.remote.deliver(raw_message("new"))
    filled.sync(followed_at_once=5)
    assert filled.copy() == filled.truth()
    assert filled.server.commands["uids"] >= 1
    assert "flags" not in filled.server.commands


def test_a_message_left_alone_is_counted_and_not_searched_for_again(mailbox: Mailbox) -> None:
    mailbox.server.capabilities = QRESYNC
    bad = mailbox.remote.deliver(raw_message("bad"))
    mailbox.remote.deliver(raw_message("good"))
    mailbox.server.misbehaviour.withheld = {("INBOX", bad)}
    for _ in range(3):
        mailbox.sync()
    mailbox.server.commands.clear()
    mailbox.inbox.set_flags(2, ["\\Seen"])
    mailbox.sync()
    assert commands(mailbox) == {"select": 1, "changes": 1}

    mailbox.inbox.remove(bad)
    mailbox.sync()
    assert not SkippedMessage.objects.exists(), "it is gone, and nothing is to be left alone"
    mailbox.server.commands.clear()
    mailbox.inbox.set_flags(2, [])
    mailbox.sync()
    assert commands(mailbox) == {"select": 1, "changes": 1}


class Untrue(InMemoryStore):
    """Answers a question for changes as it is told."""

    def __init__(self, mailbox: Mailbox, answer: Changes | Exception) -> None:
        super().__init__(mailbox.server, PasswordLogin(mailbox.account.username, PASSWORD))
        self._answer = answer

    def changes(self, since: int, first: int = 1, last: int | None = None) -> Changes:
        super().changes(since, first, last)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        Changes((), ()),
        Changes(()),
        CommandRefused("BAD unknown"),
        ProtocolViolation("makes no sense"),
    ],
    ids=["nothing", "no QRESYNC", "refused", "nonsense"],
)
def test_a_server_that_does_not_tell_all_is_not_believed(
    filled: Mailbox, answer: Changes | Exception
) -> None:
    filled.inbox.remove(3)
    filled.inbox.remove(4)
    filled.remote.deliver(raw_message("new"))
    filled.sync(store=Untrue(filled, answer))
    assert filled.copy() == filled.truth()
    assert filled.folder().failures == 0


def test_vanished_ranges_that_cover_everything_take_no_more_than_what_is_said(
    filled: Mailbox,
) -> None:
    """Servers that have forgotten the past name every UID that is free, the future included."""
    for uid in range(5, 16):
        filled.inbox.remove(uid)
    answer = Changes((), ((5, 15), (21, 4_294_967_295)))
    filled.sync(store=Untrue(filled, answer))
    assert filled.copy() == filled.truth()


def test_an_interrupted_pass_follows_from_the_old_checkpoint(filled: Mailbox) -> None:
    before = filled.folder().highest_modseq
    filled.inbox.set_flags(7, ["\\Flagged"])
    filled.remote.deliver(raw_message("new"))

    class Broken(InMemoryStore):
        def fetch(
            self, uids: Sequence[int], *, headers_only: bool = False
        ) -> Iterator[RemoteMessage]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filled.sync(store=Broken(filled.server, PasswordLogin(filled.account.username, PASSWORD)))
    assert filled.folder().highest_modseq == before
    filled.sync()
    assert filled.copy() == filled.truth()
    assert filled.folder().highest_modseq > before

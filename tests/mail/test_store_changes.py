"""What every store promises of changes: flags, moves, and what happened since a MODSEQ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailhub.mail.errors import (
    CommandRefused,
)
from mailhub.mail.stores.base import Store
from tests.mail.conftest import Account, fill, message_of


def test_flags_are_told_between_two_uids(store: Store) -> None:
    uids = fill(store, 4)
    assert [told.uid for told in store.flags()] == uids
    assert [told.uid for told in store.flags(uids[1], uids[2])] == uids[1:3]
    assert [told.uid for told in store.flags(uids[3])] == [uids[3]]
    assert list(store.flags(uids[3] + 1)) == []


def test_flags_are_added_and_removed(store: Store) -> None:
    uids = fill(store, 2)
    store.store_flags(uids, add=["\\Seen", "\\Flagged"])
    store.store_flags([uids[0]], remove=["\\Flagged"], add=["\\Answered"])
    assert {told.uid: told.flags for told in store.flags()} == {
        uids[0]: {"\\Seen", "\\Answered"},
        uids[1]: {"\\Seen", "\\Flagged"},
    }


def test_a_change_of_flags_raises_the_modseq(store: Store) -> None:
    (uid,) = fill(store, 1)
    (before,) = store.flags()
    store.store_flags([uid], add=["\\Seen"])
    (after,) = store.flags()
    if "CONDSTORE" in store.capabilities:
        assert after.modseq > before.modseq > 0
    else:
        assert after.modseq == before.modseq == 0


@pytest.fixture
def tracking(account: Account) -> Iterator[Store]:
    """A store that was asked to track changes; with CONDSTORE at least."""
    with account.store() as store:
        if "CONDSTORE" not in store.capabilities:
            pytest.skip("no CONDSTORE")
        store.track_changes()
        yield store


def test_changes_are_what_happened_after_a_modseq(account: Account, tracking: Store) -> None:
    with account.store() as other:
        uids = fill(other, 6)
        since = tracking.status("INBOX").highest_modseq
        other.store_flags([uids[1]], add=["\\Flagged"])
        other.expunge([uids[2], uids[4]])
        other.append("INBOX", message_of("new"), flags=["\\Seen"])
    tracking.select("INBOX")
    found = tracking.changes(since)
    told = {row.uid: row.flags for row in found.flags}
    assert told == {uids[1]: {"\\Flagged"}, uids[5] + 1: {"\\Seen"}}
    assert all(row.modseq > since for row in found.flags)
    if "QRESYNC" in tracking.capabilities:
        assert found.vanished == ((uids[2], uids[2]), (uids[4], uids[4]))
    else:
        assert found.vanished is None


def test_changes_may_be_asked_for_between_two_uids(account: Account, tracking: Store) -> None:
    with account.store() as other:
        uids = fill(other, 6)
        since = tracking.status("INBOX").highest_modseq
        other.store_flags(uids[:4], add=["\\Seen"])
        other.expunge([uids[1], uids[4]])
    tracking.select("INBOX")
    low, high = tracking.changes(since, 1, uids[1]), tracking.changes(since, uids[2], 2**32 - 1)
    assert [row.uid for row in low.flags] == [uids[0]]
    assert [row.uid for row in high.flags] == uids[2:4]
    if "QRESYNC" in tracking.capabilities:
        assert low.vanished == ((uids[1], uids[1]),)
        assert high.vanished == ((uids[4], uids[4]),)


def test_nothing_happened_after_the_last_modseq(account: Account, tracking: Store) -> None:
    with account.store() as other:
        uids = fill(other, 3)
        other.expunge(uids[:1])
    since = tracking.select("INBOX").highest_modseq
    found = tracking.changes(since)
    assert (found.flags, found.vanished or ()) == ((), ())


def test_the_modseq_names_what_changed_in_a_search(account: Account, tracking: Store) -> None:
    with account.store() as other:
        uids = fill(other, 3)
        since = tracking.status("INBOX").highest_modseq
        other.store_flags([uids[1]], add=["\\Seen"])
    tracking.select("INBOX")
    assert tracking.uids(f"MODSEQ {since + 1}") == [uids[1]]


def test_a_server_without_condstore_refuses_to_tell_changes(store: Store) -> None:
    if "CONDSTORE" in store.capabilities:
        pytest.skip("has CONDSTORE")
    store.track_changes()
    store.select("INBOX")
    with pytest.raises(CommandRefused):
        store.changes(1)


def test_tracking_is_asked_for_again_on_a_new_connection(account: Account) -> None:
    store = account.store()
    for _ in range(2):
        with store:
            if "QRESYNC" not in store.capabilities:
                pytest.skip("no QRESYNC")
            store.select("INBOX")
            assert store.changes(1).vanished is None
        with store:
            store.track_changes()
            store.select("INBOX")
            assert store.changes(1).vanished is not None


def test_an_expunge_takes_the_given_messages_and_no_others(store: Store) -> None:
    uids = fill(store, 3)
    # Another mail program's deletion, which is not ours to carry out.
    store.store_flags([uids[0]], add=["\\Deleted"])
    store.expunge([uids[2]])
    assert store.uids() == uids[:2]


def test_a_move_takes_the_given_messages_and_no_others(store: Store) -> None:
    uids = fill(store, 3)
    store.store_flags([uids[0]], add=["\\Deleted"])
    store.store_flags([uids[1]], add=["\\Seen"])
    moved = store.move([uids[1]], "Trash")
    assert store.uids() == [uids[0], uids[2]]
    store.select("Trash")
    (message,) = store.fetch(store.uids())
    assert b"number 1" in message.content
    assert "\\Seen" in message.flags
    assert moved in ({uids[1]: message.uid}, {})

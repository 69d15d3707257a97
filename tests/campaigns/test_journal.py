"""The journal: what was written can be read, however it ended, and it stays small."""

from __future__ import annotations

from campaigns.engine.journal import Journal, journal_folder, read_journal, remove_journal
from campaigns.engine.outcomes import Finished
from campaigns.models import DeliveryState

SENT = DeliveryState.SENT


def test_events_come_back() -> None:
    with Journal("events") as journal:
        journal.started(1, 1)
        journal.ended(Finished(1, 1, SENT, "250 ok\nλ", "<1@x>"))
        journal.started(2, 3)
    assert read_journal("events") == {
        (1, 1): Finished(1, 1, SENT, "250 ok\nλ", "<1@x>"),
        (2, 3): None,
    }
    remove_journal("events")
    assert read_journal("events") is None


def test_a_torn_end_is_passed_over() -> None:
    with Journal("torn") as journal:
        journal.started(1, 1)
        journal.started(2, 1)
    [path] = journal_folder().glob("torn.*")
    path.write_bytes(path.read_bytes().rstrip(b"\0")[:-3])
    assert read_journal("torn") == {(1, 1): None}
    path.write_bytes(b'D 1 1\nR 1 [1, "sent", "x\nD x\n\0\0\0\nD 2 1\nD \0 1\nD 31 \0\0')
    assert read_journal("torn") == {(1, 1): None, (2, 1): None}


def test_it_stays_small_and_loses_nothing_that_is_open() -> None:
    with Journal("long", generation_bytes=200) as journal:
        journal.started(999_999, 1)
        for number in range(500):
            journal.started(number, 1)
            journal.ended(Finished(number, 1, SENT, "250 ok", "<x@y>"))
            journal.forget([number])
        assert len(list(journal_folder().glob("long.*"))) == 2
        assert journal.has_started(999_999)
        assert not journal.has_started(3)
        events = read_journal("long")
        assert events is not None
        assert events[999_999, 1] is None


def test_a_message_that_was_offered_twice_holds_no_generation() -> None:
    with Journal("twice", generation_bytes=50) as journal:
        for number in range(50):
            journal.started(number, 1)
            journal.started(number, 1)
            journal.forget([number])
        assert len(list(journal_folder().glob("twice.*"))) == 1

"""The planner against a model of a server: whatever happens there, the plan mends the copy."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mailboxes.sync.plan import (
    LARGEST_UID,
    Checkpoint,
    Differences,
    Flags,
    FolderAction,
    UidRange,
    choose_action,
    compare,
    compare_uids,
    follow,
    ranges_newest_first,
    within,
)
from mailhub.mail.stores.base import Changes, FolderStatus, RemoteFlags

STATUS = FolderStatus("INBOX", uid_validity=7, uid_next=11, messages=3, highest_modseq=40)


def test_nothing_to_do_where_all_four_are_equal() -> None:
    stored = Checkpoint.of(STATUS)
    assert choose_action(STATUS, stored, lacks_bodies=False) is FolderAction.NOTHING


def test_missing_bodies_are_fetched_without_comparing() -> None:
    stored = Checkpoint.of(STATUS)
    assert choose_action(STATUS, stored, lacks_bodies=True) is FolderAction.FETCH_BODIES


def test_an_expunge_that_leaves_the_modseq_alone_is_seen_by_the_count() -> None:
    stored = Checkpoint.of(STATUS)
    fewer = replace(STATUS, messages=2)
    assert choose_action(fewer, stored, lacks_bodies=False) is FolderAction.FOLLOW


def test_changes_are_followed_from_the_checkpoint_on() -> None:
    later = replace(STATUS, highest_modseq=41)
    assert choose_action(later, Checkpoint.of(STATUS), lacks_bodies=True) is FolderAction.FOLLOW


def test_a_server_that_went_back_in_time_is_compared() -> None:
    """As after a backup was put back: what was given since then means something else now."""
    stored = Checkpoint.of(STATUS)
    for back in (replace(STATUS, highest_modseq=39), replace(STATUS, uid_next=10)):
        assert choose_action(back, stored, lacks_bodies=False) is FolderAction.COMPARE


def test_changes_that_are_forgotten_by_the_copy_are_not_followed() -> None:
    """A checkpoint without a MODSEQ (a folder being rebuilt, CONDSTORE new on the server)."""
    stored = replace(Checkpoint.of(STATUS), highest_modseq=0)
    assert choose_action(STATUS, stored, lacks_bodies=False) is FolderAction.COMPARE


def test_what_is_told_as_changed_and_as_gone_is_gone() -> None:
    changes = Changes((RemoteFlags(1, frozenset()), RemoteFlags(2, frozenset())), ((2, 9),))
    assert follow(changes, {1: Flags(), 2: Flags()}, [2]) == Differences(vanished=(2,))


@given(
    st.sets(st.integers(1, 60)),
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=8),
)
def test_uids_within_ranges(uids: set[int], starts: list[tuple[int, int]]) -> None:
    ranges = sorted((first, first + length) for first, length in starts)
    expected = [uid for uid in sorted(uids) if any(first <= uid <= last for first, last in ranges)]
    assert within(sorted(uids), ranges) == expected


def test_a_server_without_condstore_is_always_compared() -> None:
    status = replace(STATUS, highest_modseq=0)
    stored = Checkpoint.of(status)
    assert choose_action(status, stored, lacks_bodies=False) is FolderAction.COMPARE


def test_a_negative_modseq_is_none() -> None:
    status = replace(STATUS, highest_modseq=-1)
    assert Checkpoint.of(status).highest_modseq == 0
    stored = Checkpoint.of(status)
    assert choose_action(status, stored, lacks_bodies=False) is FolderAction.COMPARE


def test_another_uidvalidity_means_a_rebuild_even_in_a_full_pass() -> None:
    stored = replace(Checkpoint.of(STATUS), uid_validity=6)
    for anyway in (False, True):
        action = choose_action(STATUS, stored, lacks_bodies=False, compare_anyway=anyway)
        assert action is FolderAction.REBUILD


def test_a_folder_never_read_is_compared() -> None:
    assert choose_action(STATUS, Checkpoint(), lacks_bodies=False) is FolderAction.COMPARE


def test_flags_in_any_case_and_keywords_apart() -> None:
    read = Flags.read(frozenset({"\\SEEN", "\\Recent", "$Forwarded", "Junk", "\\Deleted"}))
    assert read == Flags(is_seen=True, keywords=("$Forwarded", "Junk"))


def test_a_message_without_flags_in_the_answer_has_not_vanished() -> None:
    stretch = UidRange(1, LARGEST_UID, (1, 2))
    stored = {1: Flags(), 2: Flags()}
    told = [RemoteFlags(1, frozenset())]
    assert compare(stretch, stored, told) == Differences()


@given(st.sets(st.integers(1, LARGEST_UID)), st.integers(1, 7))
def test_stretches_cover_every_uid_once_and_begin_with_the_newest(
    uids: set[int], size: int
) -> None:
    stretches = list(ranges_newest_first(sorted(uids), size))
    assert stretches[0].last == LARGEST_UID
    assert stretches[-1].first == 1
    for newer, older in itertools.pairwise(stretches):
        assert older.last == newer.first - 1
    assert all(len(stretch.uids) <= size for stretch in stretches)
    assert all(
        stretch.first <= uid <= stretch.last for stretch in stretches for uid in stretch.uids
    )
    assert sorted(uid for stretch in stretches for uid in stretch.uids) == sorted(uids)


class FolderOnAServer(RuleBasedStateMachine):
    """A folder that another program changes, and a copy kept by plans alone.

    The server has QRESYNC, CONDSTORE alone, or neither. With CONDSTORE alone an expunge may
    leave HIGHESTMODSEQ as it was.
    """

    @initialize(extension=st.sampled_from(["qresync", "condstore", "neither"]))
    def begin(self, extension: str) -> None:
        self.extension = extension
        self.validity, self.modseq, self.uid_next = 1, 1, 1
        self.messages: dict[int, RemoteFlags] = {}
        self.gone: dict[int, int] = {}
        self.copy: dict[int, Flags] = {}
        self.checkpoint = Checkpoint()
        self.is_up_to_date = False

    @rule(seen=st.booleans(), gap=st.integers(0, 3))
    def deliver(self, seen: bool, gap: int) -> None:
        self.uid_next += gap
        self.give(self.uid_next, frozenset({"\\Seen"}) if seen else frozenset())
        self.uid_next += 1

    @rule(data=st.data(), tells=st.booleans())
    def expunge(self, data: st.DataObject, tells: bool) -> None:
        if self.messages:
            uid = data.draw(st.sampled_from(sorted(self.messages)))
            del self.messages[uid]
            # The case that comparing HIGHESTMODSEQ alone would miss.
            self.modseq += tells or self.extension == "qresync"
            self.gone[uid] = self.modseq
            self.is_up_to_date = False

    @rule(data=st.data(), flags=st.sets(st.sampled_from(["\\Seen", "\\Flagged", "work"])))
    def flag(self, data: st.DataObject, flags: set[str]) -> None:
        if self.messages:
            self.give(data.draw(st.sampled_from(sorted(self.messages))), frozenset(flags))

    @rule()
    def renumber(self) -> None:
        self.validity += 1
        self.modseq += 1
        old = self.messages.values()
        self.messages = {
            uid: RemoteFlags(uid, row.flags, self.modseq) for uid, row in enumerate(old, start=1)
        }
        self.gone = {}
        self.uid_next = len(self.messages) + 1
        self.is_up_to_date = False

    @rule(size=st.integers(1, 4))
    def read(self, size: int) -> None:
        status = FolderStatus(
            "INBOX",
            self.validity,
            self.uid_next,
            len(self.messages),
            highest_modseq=0 if self.extension == "neither" else self.modseq,
        )
        action = choose_action(status, self.checkpoint, lacks_bodies=False)
        if action is FolderAction.NOTHING:
            assert self.extension != "neither"
        elif action is FolderAction.FOLLOW:
            self.follow()
        else:
            if action is FolderAction.REBUILD:
                self.copy = {}
            for stretch in ranges_newest_first(sorted(self.messages), size):
                stored = self.stored_in(stretch)
                told = list(self.messages.values())
                self.mend(compare(stretch, stored, told if stored else None))
        self.checkpoint = Checkpoint.of(status)
        self.is_up_to_date = True

    def follow(self) -> None:
        since = self.checkpoint.highest_modseq
        told = tuple(row for row in self.messages.values() if row.modseq > since)
        ranges = [(uid, uid) for uid, modseq in sorted(self.gone.items()) if modseq > since]
        changes = Changes(told, tuple(ranges) if self.extension == "qresync" else None)
        stored = {row.uid: self.copy[row.uid] for row in told if row.uid in self.copy}
        self.mend(follow(changes, stored, within(sorted(self.copy), changes.vanished or ())))
        if len(self.copy) != len(self.messages):
            assert self.extension == "condstore", "QRESYNC tells all"
            for stretch in ranges_newest_first(sorted(self.messages), 3):
                self.mend(compare_uids(stretch, self.stored_in(stretch)))

    def stored_in(self, stretch: UidRange) -> dict[int, Flags]:
        inside = range(stretch.first, stretch.last + 1)
        return {uid: flags for uid, flags in self.copy.items() if uid in inside}

    def mend(self, found: Differences) -> None:
        assert list(found.new) == sorted(found.new, reverse=True)
        for uid in found.vanished:
            del self.copy[uid]
        self.copy.update(found.changed)
        self.copy.update({uid: Flags.read(self.messages[uid].flags) for uid in found.new})

    def give(self, uid: int, flags: frozenset[str]) -> None:
        self.modseq += 1
        self.messages[uid] = RemoteFlags(uid, flags, self.modseq)
        self.is_up_to_date = False

    @invariant()
    def the_copy_is_the_truth(self) -> None:
        if self.is_up_to_date:
            truth = {uid: Flags.read(row.flags) for uid, row in self.messages.items()}
            assert self.copy == truth


TestFolderOnAServer = FolderOnAServer.TestCase

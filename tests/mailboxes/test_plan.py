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
    ranges_newest_first,
)
from mailhub.mail.stores.base import FolderStatus, RemoteFlags

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
    assert choose_action(fewer, stored, lacks_bodies=False) is FolderAction.COMPARE


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
    """A folder that another program changes, and a copy kept by plans alone."""

    @initialize(has_modseq=st.booleans())
    def begin(self, has_modseq: bool) -> None:
        self.has_modseq = has_modseq
        self.validity, self.modseq, self.uid_next = 1, 1, 1
        self.messages: dict[int, frozenset[str]] = {}
        self.copy: dict[int, Flags] = {}
        self.checkpoint = Checkpoint()
        self.is_up_to_date = False

    @rule(seen=st.booleans(), gap=st.integers(0, 3))
    def deliver(self, seen: bool, gap: int) -> None:
        self.uid_next += gap
        self.messages[self.uid_next] = frozenset({"\\Seen"}) if seen else frozenset()
        self.uid_next += 1
        self.change(modseq=True)

    @rule(data=st.data())
    def expunge(self, data: st.DataObject) -> None:
        if self.messages:
            del self.messages[data.draw(st.sampled_from(sorted(self.messages)))]
            # The case that comparing HIGHESTMODSEQ alone would miss.
            self.change(modseq=False)

    @rule(data=st.data(), flags=st.sets(st.sampled_from(["\\Seen", "\\Flagged", "work"])))
    def flag(self, data: st.DataObject, flags: set[str]) -> None:
        if self.messages:
            uid = data.draw(st.sampled_from(sorted(self.messages)))
            self.messages[uid] = frozenset(flags)
            self.change(modseq=True)

    @rule()
    def renumber(self) -> None:
        self.validity += 1
        self.messages = dict(enumerate(self.messages.values(), start=1))
        self.uid_next = len(self.messages) + 1
        self.change(modseq=True)

    @rule(size=st.integers(1, 4))
    def read(self, size: int) -> None:
        status = FolderStatus(
            "INBOX",
            self.validity,
            self.uid_next,
            len(self.messages),
            highest_modseq=self.modseq if self.has_modseq else 0,
        )
        action = choose_action(status, self.checkpoint, lacks_bodies=False)
        if action is not FolderAction.NOTHING:
            if action is FolderAction.REBUILD:
                self.copy = {}
            for stretch in ranges_newest_first(sorted(self.messages), size):
                self.carry_out(stretch)
        self.checkpoint = Checkpoint.of(status)
        self.is_up_to_date = True

    def carry_out(self, stretch: UidRange) -> None:
        stored = {
            uid: flags for uid, flags in self.copy.items() if stretch.first <= uid <= stretch.last
        }
        told = [RemoteFlags(uid, flags) for uid, flags in self.messages.items()]
        found = compare(stretch, stored, told if stored else None)
        assert list(found.new) == sorted(found.new, reverse=True)
        for uid in found.vanished:
            del self.copy[uid]
        self.copy.update(found.changed)
        self.copy.update({uid: Flags.read(self.messages[uid]) for uid in found.new})

    def change(self, *, modseq: bool) -> None:
        self.modseq += modseq
        self.is_up_to_date = False

    @invariant()
    def the_copy_is_the_truth(self) -> None:
        if self.is_up_to_date:
            assert self.copy == {uid: Flags.read(flags) for uid, flags in self.messages.items()}


TestFolderOnAServer = FolderOnAServer.TestCase

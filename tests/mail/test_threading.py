"""Which messages are one conversation: RFC 8621 section 3, in any order of arrival."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailhub.mail.threading import MOST_IDS, base_subject, gather, thread_keys


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        ("Hello", "hello"),
        ("Re: Hello", "hello"),
        ("RE:Fwd: re : Hello", "hello"),
        ("Re[2]: Hello", "hello"),
        ("Re(3): Hello", "hello"),
        ("Re^2: Hello", "hello"),
        ("AW: WG: Hello", "hello"),
        ("回复：Hello", "hello"),
        ("[list] Re: [list] Hello", "hello"),
        ("Re: [list 12] Hello (fwd)", "hello"),
        ("Hello (fwd) (FWD)", "hello"),
        ("Fw: Hello", "hello"),
        ("Hello   you\tthere", "helloyouthere"),
        ("HELLO", "hello"),
        ("Straße", "strasse"),
        ("[list]", "[list]"),
        ("Re: [list]", "[list]"),
        ("Re:", ""),
        ("", ""),
        ("Regarding: x", "regarding:x"),
        ("Restart: x", "restart:x"),
        ("Reply: [x] y", "reply:[x]y"),
        ("[a] [b] c", "c"),
        ("[a] b [c]", "b[c]"),
        ("[unclosed Hello", "[unclosedhello"),
    ],
)
def test_base_subject(subject: str, base: str) -> None:
    assert base_subject(subject) == base


@given(st.text())
def test_any_text_has_a_base_subject_that_is_its_own(subject: str) -> None:
    assert base_subject(f"Re: {subject}") == base_subject(subject) or "(" in subject
    base_subject(subject).encode("utf-8", "replace")


@pytest.mark.parametrize(
    "subject",
    ["Re: " * 500_000, "[a] " * 500_000, "[" * 1_000_000, "(fwd)" * 200_000, "re" * 500_000],
)
def test_a_hostile_subject_is_cut(subject: str) -> None:
    assert len(base_subject(subject)) <= 2_000


def test_keys_are_of_ids_and_subject_together() -> None:
    assert thread_keys("Hello", ["a@x", "<b@x>"]) == thread_keys("Re: Hello", ["<a@x>", " b@x "])
    assert not thread_keys("Hello", ["a@x"]) & thread_keys("Goodbye", ["a@x"])
    assert not thread_keys("Hello", ["a@x"], salt=b"1") & thread_keys("Hello", ["a@x"], salt=b"2")
    assert thread_keys("Hello", ["", "<>", " "]) == frozenset()
    assert all(-(2**63) <= key < 2**63 for key in thread_keys("x", map(str, range(50))))
    assert len(thread_keys("x", map(str, range(10_000)))) == MOST_IDS


def test_never_by_subject_alone() -> None:
    messages = {"a": thread_keys("Hello", ["a@x"]), "b": thread_keys("Hello", ["b@x"])}
    assert {found.members for found in gather(messages, {})} == {("a",), ("b",)}


def test_a_missing_link_makes_one_of_two() -> None:
    link = thread_keys("Re: Hello", ["2@x", "1@x"])
    (one,), (two,) = thread_keys("Hello", ["1@x"]), thread_keys("Hello", ["2@x"])
    (found,) = gather({"link": link}, {one: 7, two: 3})
    assert (found.members, found.known, found.keys) == (("link",), (3, 7), link)


def test_two_keys_of_one_conversation_hold_two_messages_together() -> None:
    messages = {"a": frozenset({1}), "b": frozenset({2})}
    (found,) = gather(messages, {1: 5, 2: 5})
    assert (set(found.members), found.known) == ({"a", "b"}, (5,))


def test_without_any_id_each_is_alone() -> None:
    found = gather({"a": frozenset(), "b": frozenset()}, {})
    assert sorted(each.members for each in found) == [("a",), ("b",)]


Keys = dict[int, frozenset[int]]
_SETS = st.lists(st.frozensets(st.integers(0, 12), max_size=4), max_size=14)


def in_batches(messages: Keys, sizes: list[int]) -> set[frozenset[int]]:
    """What becomes of messages that arrive in this order, so many at a time."""
    owners: dict[int, int] = {}
    threads: dict[int, set[int]] = {}
    left, number = list(messages), 0
    while left:
        size = sizes[number % len(sizes)]
        batch, left, number = left[:size], left[size:], number + 1
        for found in gather({name: messages[name] for name in batch}, owners):
            thread = found.known[0] if found.known else len(threads) + 1000 * number
            members = set(found.members).union(*(threads.pop(other) for other in found.known))
            threads[thread] = members
            merged = {key for key, owner in owners.items() if owner in found.known}
            owners.update(dict.fromkeys(merged | found.keys, thread))
    return {frozenset(members) for members in threads.values()}


def connected(messages: Keys) -> set[frozenset[int]]:
    """The definition, step by step: who shares a key, and who shares one with those."""
    groups: list[tuple[set[int], set[int]]] = []
    for name, keys in messages.items():
        touching = [group for group in groups if group[1] & keys]
        groups = [group for group in groups if group not in touching]
        names = {name}.union(*(group[0] for group in touching))
        groups.append((names, set(keys).union(*(group[1] for group in touching))))
    return {frozenset(names) for names, _ in groups}


@given(_SETS, st.randoms(use_true_random=False), st.lists(st.integers(1, 5), min_size=1))
def test_any_order_of_arrival_gives_the_same_conversations(
    sets: list[frozenset[int]], random: Random, sizes: list[int]
) -> None:
    messages = dict(enumerate(sets))
    order = list(messages)
    random.shuffle(order)
    arriving = {name: messages[name] for name in order}
    assert in_batches(arriving, sizes) == connected(messages)

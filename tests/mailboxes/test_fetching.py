"""Batches around messages that the server cannot hand over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.sync.control import Control, Interruption, PassInterrupted, Progress
from mailboxes.sync.fetching import Connection, Fetched, Pace, fetch_batch
from mailhub.mail.errors import CommandRefused, MailError, ServerTimeout
from mailhub.mail.server import PasswordLogin
from mailhub.mail.stores.base import RemoteMessage
from mailhub.mail.stores.in_memory import InMemoryMailServer, InMemoryStore

LOGIN = PasswordLogin("ada@example.org", "secret")


class Trapped(InMemoryStore):
    """Fails at the messages in `traps`; `asked` are the batches that it was asked for."""

    def __init__(self, messages: int, traps: set[int], error: MailError) -> None:
        server = InMemoryMailServer()
        account = server.add_account(LOGIN.username, LOGIN.password)
        for number in range(messages):
            account.deliver(f"Subject: {number}\r\n\r\n".encode())
        super().__init__(server, LOGIN)
        self.traps, self.error = traps, error
        self.asked: list[list[int]] = []

    def fetch(self, uids: Sequence[int], *, headers_only: bool = False) -> Iterator[RemoteMessage]:
        self.asked.append(list(uids))
        for message in super().fetch(uids, headers_only=headers_only):
            if message.uid in self.traps:
                raise self.error
            yield message


def fetch(store: Trapped, messages: int, control: Control | None = None) -> Fetched:
    with store:
        connection = Connection(store)
        connection.select("INBOX")
        uids = range(messages, 0, -1)
        control = control or Control(Progress())
        return fetch_batch(connection, control, uids, headers_only=False)


@given(
    st.integers(1, 30),
    st.sets(st.integers(1, 30), max_size=8),
    st.sampled_from([ServerTimeout("silent"), CommandRefused("no")]),
)
def test_every_message_comes_but_the_bad_ones(
    messages: int, traps: set[int], error: MailError
) -> None:
    found = fetch(Trapped(messages, traps, error), messages)
    everything = set(range(1, messages + 1))
    assert {message.uid for message in found.messages} == everything - traps
    assert len(found.messages) == len(everything - traps), "each once"
    assert found.refused.keys() == everything & traps
    assert found.missing == []


def test_one_bad_message_costs_two_failures() -> None:
    store = Trapped(100, {50}, ServerTimeout("silent"))
    fetch(store, 100)
    assert [len(batch) for batch in store.asked] == [100, 1, 50]


def test_an_interruption_hands_back_what_has_come() -> None:
    """So that a turn that ends in the middle of a bad batch has still got on."""
    left = count()
    control = Control(Progress(), lambda: Interruption.OUT_OF_TIME if next(left) >= 2 else None)
    found = fetch(Trapped(10, {5}, ServerTimeout("silent")), 10, control)
    assert {message.uid for message in found.messages} == {1, 2, 3, 4}
    assert found.refused == {5: "silent"}
    assert found.missing == []


@pytest.mark.parametrize("checks", [0, 1, 2, 3])
def test_a_lost_run_hands_back_nothing(checks: int) -> None:
    left = count()
    control = Control(Progress(), lambda: Interruption.LOST if next(left) >= checks else None)
    with pytest.raises(PassInterrupted):
        fetch(Trapped(10, {5}, ServerTimeout("silent")), 10, control)


def test_a_server_that_fails_for_ever_ends_it() -> None:
    with pytest.raises(ServerTimeout):
        fetch(Trapped(100, set(range(1, 101)), ServerTimeout("silent")), 100)


def test_the_pace_grows_to_about_a_batch_a_while_within_bounds() -> None:
    now = [0.0]
    pace = Pace(1000, 50_000, seconds=1.0, clock=lambda: now[0])
    sizes = [500] * 500
    for _ in range(12):
        taken = pace.take(sizes, 200)
        started = pace.start()
        now[0] += taken * 500 / 20_000  # a line of 20 kB a second
        pace.note(started, taken * 500)
    assert pace.octets == 20_000
    now[0] += 100
    pace.note(0.0, 1)
    assert pace.octets == 1000
    for _ in range(20):
        pace.note(pace.start(), 10**9)
    assert pace.octets == 50_000
    assert pace.take([10**9, 1], 200) == 1, "at least one, however large"
    assert pace.take([1] * 500, 200) == 200

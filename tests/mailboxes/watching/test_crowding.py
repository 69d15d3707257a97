"""What a server's refusals say of how many connections it bears."""

from __future__ import annotations

from uuid import uuid4

from mailboxes.watching.crowding import CLOSED_FOR, Crowding
from mailhub.mail.errors import ConnectionFailed, LoginDeferred

TOO_MANY = LoginDeferred("mail.example.org lets nobody in for now: [LIMIT] no more")
HOST = "mail.example.org"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def crowded(count: int) -> tuple[Crowding, Clock]:
    clock = Clock()
    crowding = Crowding(clock)
    for _ in range(count):
        crowding.entered(HOST)
    return crowding, clock


def test_one_account_with_many_clients_says_nothing_of_its_host() -> None:
    crowding, _ = crowded(50)
    account = uuid4()
    assert not any(crowding.refused(HOST, account, TOO_MANY) for _ in range(10))
    assert not crowding.is_full(HOST)


def test_three_accounts_within_a_minute_do() -> None:
    crowding, clock = crowded(50)
    assert [crowding.refused(HOST, uuid4(), TOO_MANY) for _ in range(4)] == [
        False, False, True, False,
    ]  # fmt: skip
    assert crowding.is_full(HOST)
    assert not crowding.is_full("other.example.org")
    assert crowding.excess(HOST) == 5, "a tenth is given up"
    for _ in range(6):
        crowding.left(HOST)
    assert not crowding.is_full(HOST)
    crowding.entered(HOST)
    assert crowding.is_full(HOST)
    clock.now += CLOSED_FOR
    assert not crowding.is_full(HOST), "it is asked again after a while"


def test_refusals_far_apart_do_not() -> None:
    crowding, clock = crowded(50)
    for _ in range(10):
        assert not crowding.refused(HOST, uuid4(), TOO_MANY)
        clock.now += 31


def test_other_trouble_does_not() -> None:
    crowding, _ = crowded(50)
    for error in (ConnectionFailed("Too many hops."), LoginDeferred("[UNAVAILABLE] later")):
        assert not any(crowding.refused(HOST, uuid4(), error) for _ in range(10))


def test_somebody_is_watched_however_few_it_bears() -> None:
    crowding, _ = crowded(0)
    for _ in range(3):
        crowding.refused(HOST, uuid4(), TOO_MANY)
    assert not crowding.is_full(HOST)
    crowding.entered(HOST)
    assert crowding.is_full(HOST)

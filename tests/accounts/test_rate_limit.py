"""Token buckets, in memory and in Redis, and what a client hears when its own is empty."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.rate_limit import Buckets, MemoryBuckets, RedisBuckets, shared_buckets
from tests import environment
from tests.people import People, client_with


@pytest.fixture(params=["memory", "redis"])
def buckets(request: pytest.FixtureRequest) -> Buckets:
    if request.param == "memory":
        return MemoryBuckets()
    url = environment.redis_url(0) or request.getfixturevalue("redis_server").url
    return RedisBuckets(url)


def test_holds_the_burst_and_then_says_how_long_to_wait(buckets: Buckets) -> None:
    name = "burst"
    assert [buckets.take(name, rate=0.1, burst=3) for _ in range(3)] == [0, 0, 0]
    wait = buckets.take(name, rate=0.1, burst=3)
    assert 9 < wait <= 10
    assert 19 < buckets.take(name, rate=0.1, burst=3, wanted=2) <= 20
    assert buckets.take("another", rate=0.1, burst=3) == 0


def test_takes_several_at_once_or_none(buckets: Buckets) -> None:
    assert buckets.take("several", rate=0.1, burst=10, wanted=8) == 0
    assert buckets.take("several", rate=0.1, burst=10, wanted=8) > 0
    assert buckets.take("several", rate=0.1, burst=10, wanted=2) == 0


def test_never_gives_more_than_the_burst_to_many_at_once(buckets: Buckets) -> None:
    granted: list[float] = []

    def draw() -> None:
        granted.extend(buckets.take("many", rate=0.001, burst=50) for _ in range(25))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert granted.count(0) == 50


def test_fills_again_with_time() -> None:
    now = 1000.0
    buckets = MemoryBuckets(clock=lambda: now)
    assert [buckets.take("time", rate=2, burst=2) for _ in range(3)] == [0, 0, 0.5]
    now += 0.5
    assert buckets.take("time", rate=2, burst=2) == 0
    now += 3600
    assert [buckets.take("time", rate=2, burst=2) for _ in range(3)] == [0, 0, 0.5]


def test_memory_forgets_the_least_used() -> None:
    buckets = MemoryBuckets()
    for number in range(10_001):
        buckets.take(f"bucket {number}", rate=0.001, burst=1)
    assert buckets.take("bucket 10000", rate=0.001, burst=1) > 0
    assert buckets.take("bucket 0", rate=0.001, burst=1) == 0


def test_redis_that_does_not_answer_stops_nobody() -> None:
    buckets = RedisBuckets("redis://127.0.0.1:1/0")
    assert buckets.take("down", rate=0.001, burst=1) == 0
    assert buckets.take("down", rate=0.001, burst=1) > 0


@pytest.fixture
def small_burst(settings: Settings) -> Iterator[None]:
    settings.MAILHUB_REQUEST_BURST = 3
    settings.MAILHUB_REQUEST_RATE = 0.01
    shared_buckets.cache_clear()
    yield
    shared_buckets.cache_clear()


@pytest.mark.usefixtures("small_burst")
def test_each_key_has_its_own_allowance(people: People) -> None:
    answers = [people.member.api.get("/api/accounts") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[3].json()
    assert refused["error"] == "too_many_requests"
    assert refused["details"]["retry_after"] == int(answers[3]["Retry-After"]) > 0
    assert people.teammate.api.get("/api/accounts").status_code == 200


@pytest.mark.usefixtures("small_burst")
def test_requests_that_are_refused_count_too(people: People) -> None:
    codes = [people.viewer.api.post("/api/accounts", {}).status_code for _ in range(4)]
    assert codes == [403, 403, 403, 429]


@pytest.mark.django_db
@pytest.mark.usefixtures("small_burst")
def test_guessing_keys_is_slow_and_stops_no_one_with_a_key(people: People) -> None:
    here = "192.0.2.77"
    guesses = [client_with(f"mh_aaaaaaaa_{'b' * 39}{number}") for number in range(4)]
    codes = [guess.get("/api/accounts", REMOTE_ADDR=here).status_code for guess in guesses]
    assert codes == [401, 401, 401, 429]
    assert people.member.api.get("/api/accounts", REMOTE_ADDR=here).status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("small_burst")
def test_calls_without_a_key_count_for_their_address() -> None:
    codes = [Client(REMOTE_ADDR="192.0.2.78").get("/api/accounts").status_code for _ in range(4)]
    assert codes == [401, 401, 401, 429]
    assert Client(REMOTE_ADDR="192.0.2.79").get("/api/accounts").status_code == 401

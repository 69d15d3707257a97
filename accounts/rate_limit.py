"""How often something may happen: token buckets, shared by everyone who draws from them.

A bucket holds at most `burst` tokens and gains `rate` a second. With REDIS_URL it lives
in Redis and one script reads, refills and takes in a single step, so any number of
machines draw from the same bucket. Without, each process keeps its own in memory: a
limit then holds for each web process by itself.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.caller import Caller
from mailhub.logs import get_logger

if TYPE_CHECKING:
    from rest_framework.views import APIView

log = get_logger(__name__)

_REMEMBERED = 10_000
_REDIS_TIMEOUT = 2.0

_TAKE = """
local now = redis.call('TIME')
local moment = tonumber(now[1]) + tonumber(now[2]) / 1000000
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'moment')
local tokens = tonumber(kept[1]) or burst
local last = tonumber(kept[2]) or moment
tokens = math.min(burst, tokens + math.max(0, moment - last) * rate)
local wait = 0
if tokens >= wanted then tokens = tokens - wanted else wait = (wanted - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'moment', tostring(moment))
redis.call('EXPIRE', KEYS[1], math.ceil(burst / rate) + 60)
return tostring(wait)
"""


class Buckets(Protocol):
    """Where buckets are kept."""

    def take(self, name: str, rate: float, burst: float, wanted: float = 1) -> float:
        """Take tokens; 0 when they were there, else the seconds to wait (none are taken).

        `wanted` is at most `burst`: more would never be there.
        """


class MemoryBuckets:
    """Buckets of one process; the least used are forgotten, which only fills them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, rate: float, burst: float, wanted: float = 1) -> float:
        now = self._clock()
        with self._lock:
            tokens, last = self._kept.pop(name, (burst, now))
            tokens = min(burst, tokens + (now - last) * rate)
            wait = 0.0 if tokens >= wanted else (wanted - tokens) / rate
            self._kept[name] = (tokens if wait else tokens - wanted, now)
            if len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)
            return wait


class RedisBuckets:
    """Buckets that every machine shares; while Redis does not answer, those of this process."""

    def __init__(self, url: str) -> None:
        import redis  # noqa: PLC0415 - installed only where REDIS_URL is set

        self._failure: type[Exception] = redis.RedisError
        self._meanwhile = MemoryBuckets()
        self._script: Any = redis.Redis.from_url(
            url, socket_timeout=_REDIS_TIMEOUT, socket_connect_timeout=_REDIS_TIMEOUT
        ).register_script(_TAKE)

    def take(self, name: str, rate: float, burst: float, wanted: float = 1) -> float:
        try:
            return float(self._script(keys=[f"mailhub:bucket:{name}"], args=[rate, burst, wanted]))
        except self._failure as error:
            log.warning("rate limits are not shared: Redis does not answer", error=str(error))
            return self._meanwhile.take(name, rate, burst, wanted)


@cache
def shared_buckets() -> Buckets:
    """The installation's buckets."""
    return RedisBuckets(settings.REDIS_URL) if settings.REDIS_URL else MemoryBuckets()


class CallerThrottle(BaseThrottle):
    """MAILHUB_REQUEST_RATE requests a second for each key, MAILHUB_REQUEST_BURST at once.

    A request without a caller counts for its address.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        self._wait = _take(f"requests:{_who(request)}")
        return self._wait == 0

    def wait(self) -> float:
        return self._wait


def slow_down_guesses(request: Request) -> None:
    """Count a request whose key is wrong for its address. Raises Throttled."""
    wait = _take(f"guesses:{_address(request)}")
    if wait:
        raise Throttled(wait)


def _take(bucket: str) -> float:
    return shared_buckets().take(
        bucket, settings.MAILHUB_REQUEST_RATE, settings.MAILHUB_REQUEST_BURST
    )


def _who(request: Request) -> str:
    caller = request.auth
    if isinstance(caller, Caller):
        return str(caller.api_key.pk) if caller.api_key else f"user-{caller.user.pk}"
    return _address(request)


def _address(request: Request) -> str:
    return hashlib.sha256(str(request.META.get("REMOTE_ADDR")).encode()).hexdigest()[:16]

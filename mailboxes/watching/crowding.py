"""How many waiting connections a mail server bears, as learnt from its refusals.

One account that is refused for too many connections may have too many clients of its own.
Three within a minute mean that the server counts ours together: then a tenth of those that
are open, and two at least, are given up, so that passes find room, and nobody enters beyond
that for a quarter of an hour.
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from mailhub.mail.errors import LoginDeferred, MailError

CLOSED_FOR = 15 * 60.0
_WITHIN = 60.0
_ACCOUNTS = 3
_TOO_MANY = re.compile(
    r"too many|\[LIMIT\]|number of connections|connection limit|simultaneous", re.IGNORECASE
)


@dataclass(slots=True)
class _Host:
    refusals: deque[tuple[float, UUID]] = field(default_factory=lambda: deque(maxlen=100))
    ceiling: int = 0
    until: float = 0.0


class Crowding:
    """Counts for each host; hosts that refuse nobody cost nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._hosts: dict[str, _Host] = {}

    def entered(self, host: str) -> None:
        """A connection is open."""
        self._open[host] += 1

    def left(self, host: str) -> None:
        """It is open no more."""
        self._open[host] -= 1
        if not self._open[host]:
            del self._open[host]

    def is_full(self, host: str) -> bool:
        """Whether no further connection should be tried."""
        return self.excess(host) >= 0 if self._is_closed(host) else False

    def excess(self, host: str) -> int:
        """How many of those that are open should be given up; negative where there is room."""
        return self._open[host] - self._hosts[host].ceiling if self._is_closed(host) else -1

    def refused(self, host: str, account_id: UUID, error: MailError) -> bool:
        """A server let an account in no more; whether that says something of the host."""
        if not isinstance(error, LoginDeferred) or not _TOO_MANY.search(error.message):
            return False
        now = self._clock()
        known = self._hosts.setdefault(host, _Host())
        known.refusals.append((now, account_id))
        lately = {who for when, who in known.refusals if now - when < _WITHIN}
        if len(lately) < _ACCOUNTS or self._is_closed(host):
            return False
        known.ceiling = max(1, self._open[host] - max(2, self._open[host] // 10))
        known.until = now + CLOSED_FOR
        known.refusals.clear()
        return True

    def _is_closed(self, host: str) -> bool:
        known = self._hosts.get(host)
        return known is not None and self._clock() < known.until

"""How long to wait before the next attempt: doubled each time, capped, and spread."""

from __future__ import annotations

import random


class BackOff:
    """Full jitter: anything between nothing and a bound that doubles, so that the accounts
    of a server that comes back do not all return to it in the same second.

    `first` and `longest` are in seconds.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        bound = min(self._longest, self._first * 2 ** min(self._failures, 30))
        self._failures += 1
        return random.uniform(0, bound)  # noqa: S311 - no secret

    def reset(self) -> None:
        """It works again."""
        self._failures = 0

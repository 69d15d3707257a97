"""How fast a worker sends, as it is shown to people."""

from __future__ import annotations

from collections import deque

_WINDOW = 10.0
_LEAST = 1.5


class Pace:
    """Messages a second over the last ten, so that a server's bursts and pauses even out.

    What the turn before has reached (`carried`) stands for the part of those seconds in
    which this one was not yet at work. Times are `time.monotonic()`.
    """

    def __init__(self, *, carried: float, began: float) -> None:
        self._carried = carried
        self._began = began
        self._counts: deque[tuple[float, int]] = deque()

    def add(self, now: float, count: int) -> None:
        """So many were accepted since the last call."""
        self._counts.append((now, count))
        while now - self._counts[0][0] > _WINDOW:
            self._counts.popleft()

    def rate(self, now: float) -> float:
        """Messages a second; may be asked from another thread."""
        elapsed = now - self._began
        count = sum(count for when, count in self._counts.copy() if now - when <= _WINDOW)
        if elapsed >= _WINDOW:
            return count / _WINDOW
        if self._carried:
            return (count + self._carried * (_WINDOW - elapsed)) / _WINDOW
        return count / max(elapsed, _LEAST)

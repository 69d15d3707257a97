"""What passes between a worker's main thread and its senders."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Condition, Lock

from campaigns.composing import Person
from campaigns.engine.claims import Claimed
from campaigns.engine.outcomes import Finished


@dataclass(slots=True, eq=False)
class Assignment:
    """One delivery to be sent: whom to, under which message id, and by which sender."""

    claimed: Claimed
    person: Person
    message_id: str
    lane: int = 0


class Board:
    """Assignments wait here for a sender of their lane, and outcomes for the database.

    Closed, it gives out nothing more; what still waits can then be taken off. `tell` is called
    when there may be something to do for a sender that had nothing.
    """

    def __init__(self, lanes: int = 1, tell: Callable[[], None] = lambda: None) -> None:
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._tell = tell
        self._lanes: list[deque[Assignment]] = [deque() for _ in range(lanes)]
        self._waiting = self._taken = 0
        self._finished: list[Finished] = []
        self.is_open = True

    def put(self, assignments: Iterable[Assignment]) -> None:
        """Offer these to the senders."""
        with self._lock:
            for assignment in assignments:
                self._lanes[assignment.lane].append(assignment)
                self._waiting += 1
            self._changed.notify_all()
        self._tell()

    def take(self, lane: int = 0) -> Assignment | None:
        """The next one, None where there is none now or the board is closed."""
        with self._lock:
            if not self.is_open or not self._lanes[lane]:
                return None
            self._taken += 1
            self._waiting -= 1
            if not self._waiting:
                self._changed.notify_all()
            return self._lanes[lane].popleft()

    def put_back(self, assignments: Iterable[Assignment]) -> None:
        """These were taken and not offered to the server."""
        with self._lock:
            for assignment in assignments:
                self._lanes[assignment.lane].appendleft(assignment)
                self._waiting += 1
                self._taken -= 1
            self._changed.notify_all()
        self._tell()

    def finish(self, finished: Finished) -> None:
        """One that was taken has ended."""
        with self._lock:
            self._finished.append(finished)
            self._taken -= 1
            if not self._taken and not self._waiting:
                self._changed.notify_all()

    def collect(self) -> list[Finished]:
        """The outcomes since the last call."""
        with self._lock:
            finished, self._finished = self._finished, []
            return finished

    def await_work(self, lane: int = 0) -> None:
        """Wait until something can be taken, or the board is closed."""
        with self._lock:
            self._changed.wait_for(lambda: self._lanes[lane] or not self.is_open)

    def pause(self, seconds: float) -> None:
        """Wait that long, less where the senders run out of work."""
        with self._lock:
            if self._waiting or self._taken:
                self._changed.wait(seconds)

    @property
    def waiting(self) -> int:
        """How many wait for a sender."""
        return self._waiting

    def waiting_for(self, lane: int) -> int:
        """How many wait for a sender of this lane."""
        return len(self._lanes[lane])

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is being sent."""
        with self._lock:
            return not self._waiting and not self._taken

    def close(self) -> None:
        """Give out nothing more."""
        with self._lock:
            self.is_open = False
            self._changed.notify_all()
        self._tell()

    def clear(self, lane: int | None = None) -> list[Assignment]:
        """Take off what still waits, of one lane or of all."""
        with self._lock:
            lanes = self._lanes if lane is None else [self._lanes[lane]]
            left = [assignment for waiting in lanes for assignment in waiting]
            for waiting in lanes:
                waiting.clear()
            self._waiting -= len(left)
            return left

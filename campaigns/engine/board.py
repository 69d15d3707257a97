"""What passes between a worker's main thread and its senders."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Condition

from campaigns.composing import Person
from campaigns.engine.claims import Claimed
from campaigns.engine.outcomes import Finished


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """One delivery to be sent: whom to, under which message id, and by which sender."""

    claimed: Claimed
    person: Person
    message_id: str
    lane: int = 0


class Board:
    """Assignments wait here for a sender of their lane, and outcomes for the database.

    Closed, it gives out nothing more; what still waits can then be taken off.
    """

    def __init__(self, lanes: int = 1) -> None:
        self._changed = Condition()
        self._waiting: list[deque[Assignment]] = [deque() for _ in range(lanes)]
        self._taken = 0
        self._finished: list[Finished] = []
        self._is_open = True

    def put(self, assignments: Iterable[Assignment]) -> None:
        """Offer these to the senders."""
        with self._changed:
            for assignment in assignments:
                self._waiting[assignment.lane].append(assignment)
            self._changed.notify_all()

    def take(self, lane: int = 0) -> Assignment | None:
        """The next one, None where there is none now or the board is closed."""
        with self._changed:
            if not self._is_open or not self._waiting[lane]:
                return None
            self._taken += 1
            return self._waiting[lane].popleft()

    def put_back(self, assignments: Iterable[Assignment]) -> None:
        """These were taken and not offered to the server."""
        with self._changed:
            for assignment in assignments:
                self._waiting[assignment.lane].appendleft(assignment)
                self._taken -= 1
            self._changed.notify_all()

    def finish(self, finished: Finished) -> None:
        """One that was taken has ended."""
        with self._changed:
            self._finished.append(finished)
            self._taken -= 1
            if not any(self._waiting):
                self._changed.notify_all()

    def collect(self) -> list[Finished]:
        """The outcomes since the last call."""
        with self._changed:
            finished, self._finished = self._finished, []
            return finished

    def await_work(self, lane: int = 0) -> bool:
        """Wait until something can be taken; False when the board is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting[lane] or not self._is_open)
            return self._is_open

    def pause(self, seconds: float) -> None:
        """Wait that long, less where the senders run out of work."""
        with self._changed:
            if any(self._waiting) or self._taken:
                self._changed.wait(seconds)

    @property
    def waiting(self) -> int:
        """How many wait for a sender."""
        return sum(map(len, self._waiting))

    def waiting_for(self, lane: int) -> int:
        """How many wait for a sender of this lane."""
        return len(self._waiting[lane])

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is being sent."""
        with self._changed:
            return not any(self._waiting) and not self._taken

    def close(self) -> None:
        """Give out nothing more."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def clear(self, lane: int | None = None) -> list[Assignment]:
        """Take off what still waits, of one lane or of all."""
        with self._changed:
            lanes = self._waiting if lane is None else [self._waiting[lane]]
            left = [assignment for waiting in lanes for assignment in waiting]
            for waiting in lanes:
                waiting.clear()
            return left

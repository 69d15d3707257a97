"""What a pass and whoever watches over it tell each other while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Interruption(StrEnum):
    """Why a pass leaves off before its end.

    `CANCELLED` by a user. `OUT_OF_TIME`: the rest is for the next turn. `LOST`: the run
    belongs to somebody else now, and this pass must write nothing more.
    """

    CANCELLED = "cancelled"
    OUT_OF_TIME = "out of time"
    LOST = "lost"


class PassInterrupted(Exception):
    """Raised between two batches; all that was fetched before is stored."""

    def __init__(self, reason: Interruption) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(slots=True)
class Progress:
    """How far a pass is; written by the pass alone, read from another thread.

    `messages_total` counts what is to be fetched, as far as is known by now.
    """

    folders_done: int = 0
    folders_total: int = 0
    messages_done: int = 0
    messages_total: int = 0
    messages_skipped: int = 0
    current_folder: str = ""

    def count(self, messages: int) -> None:
        """So many more messages are done."""
        self.messages_done += messages
        self.messages_total = max(self.messages_total, self.messages_done)


@dataclass(frozen=True, slots=True)
class Control:
    """`interruption` is asked between two batches, and must be quick."""

    progress: Progress
    interruption: Callable[[], Interruption | None] = lambda: None

    def check(self) -> None:
        """Raises PassInterrupted where the pass shall leave off here."""
        reason = self.interruption()
        if reason is not None:
            raise PassInterrupted(reason)

    def refuse_if_lost(self) -> None:
        """Raises PassInterrupted where the pass must write nothing more."""
        if self.interruption() is Interruption.LOST:
            raise PassInterrupted(Interruption.LOST)

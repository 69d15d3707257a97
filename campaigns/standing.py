"""How good something is for a sender, in three words."""

from __future__ import annotations

from enum import StrEnum


class Standing(StrEnum):
    """From the best to the worst."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"

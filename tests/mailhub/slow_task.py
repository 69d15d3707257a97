"""A background task that takes its time, for the tests of how `serve` stops."""

from __future__ import annotations

import time
from pathlib import Path

from mailhub.supervised import is_stopping


def work(folder: str, seconds: float) -> None:
    """Write `work`, work for `seconds`, write `ended`."""
    (Path(folder) / "work").touch()
    time.sleep(seconds)
    (Path(folder) / "ended").touch()


def work_until_stopping(folder: str) -> None:
    """Write `work_until_stopping`, go on until the supervisor stops, write `left off`."""
    (Path(folder) / "work_until_stopping").touch()
    while not is_stopping():
        time.sleep(0.01)
    (Path(folder) / "left off").touch()

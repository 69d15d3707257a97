"""A progress bar for commands: redrawn on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

_WIDTH = 28
_LINE_EVERY = 5.0


class ProgressBar:
    """`bar.show(done, total, note)` as often as one likes; `bar.finish(note)` once."""

    def __init__(self, out: TextIO, label: str) -> None:
        self._out = out
        self._label = label
        self._terminal = out.isatty()
        self._said = time.monotonic()
        self._drawn = 0

    def show(self, done: int, total: int, note: str = "") -> None:
        """Say how far it is."""
        share = min(1.0, done / total) if total else 0.0
        line = f"{self._label}  {done}/{total}  {share:4.0%}  {note}".rstrip()
        if self._terminal:
            filled = round(share * _WIDTH)
            bar = "█" * filled + "░" * (_WIDTH - filled)
            self._draw(f"{self._label}  {bar}  {done}/{total}  {note}".rstrip())
        elif time.monotonic() - self._said >= _LINE_EVERY:
            self._said = time.monotonic()
            self._out.write(f"{line}\n")
            self._out.flush()

    def finish(self, note: str = "") -> None:
        """End the line with its outcome."""
        line = f"{self._label}  {note}".rstrip()
        if self._terminal:
            self._draw(line)
            self._out.write("\n")
        else:
            self._out.write(f"{line}\n")
        self._out.flush()

    def _draw(self, line: str) -> None:
        self._out.write(f"\r{line}{' ' * max(0, self._drawn - len(line))}")
        self._out.flush()
        self._drawn = len(line)

"""Long lists in short pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def in_batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Pieces of `size`, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]

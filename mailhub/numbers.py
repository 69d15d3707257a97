"""Whole numbers as people and programs write them."""

from __future__ import annotations

# So many always fit into the 64 bits of an id.
_MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """A number of at most 18 digits, 0 to 9; None for anything else.

    `isdigit` alone is true of signs that `int` refuses, such as ².
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None

"""A number is read from digits that `int` takes, and from no others."""

from __future__ import annotations

import pytest

from mailhub.numbers import whole_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("007", 7),
        ("9" * 18, 999_999_999_999_999_999),
        ("9" * 19, None),
        ("9" * 5000, None),
        ("²", None),
        ("٣", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1_0", None),
        ("", None),
    ],
)
def test_a_number_is_read_or_is_none(text: str, expected: int | None) -> None:
    assert whole_number(text) == expected

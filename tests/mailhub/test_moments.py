"""Moments are read into UTC, whatever offset they have, and nonsense into nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailhub.moments import read_moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("1547-10-02T00:47:06+21:10", datetime(1547, 10, 1, 3, 37, 6, tzinfo=UTC)),
        ("0001-01-01T00:00:00+21:10", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("2026-02-30T10:00:00Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_moment_is_read_into_utc(text: str, expected: datetime | None) -> None:
    assert read_moment(text) == expected

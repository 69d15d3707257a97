"""Moments as people and programs write them."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime


def read_moment(text: str) -> datetime | None:
    """A moment of ISO 8601, in UTC, which it is taken for where it names no offset; else None.

    PostgreSQL takes no offset of more than sixteen hours, so that none goes there.
    """
    try:
        moment = parse_datetime(text)
        if moment is None:
            return None
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None

"""Rate limits that hold for all workers on all machines together.

What may leave is a row (`SendAllowance`). A worker takes a few messages' worth from it before
it claims them, by an UPDATE that only holds from the version of the row that was read, and
gives back what it found no use for. Times are those of the database's clock.

A second's messages are taken in fifths. An hour is counted by minutes and a day by quarters of
an hour, each until it lies wholly outside: never are more sent in any hour or day than is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from campaigns.models import Campaign, SendAllowance
from campaigns.models.rate_limited import RateLimited

_TRIES = 50
_PART_OF_SECOND = 0.2
_MINUTE, _HOUR = 60, 3600
_QUARTER, _DAY = 900, 86_400
_BUSY = 0.05


@dataclass(frozen=True, slots=True)
class Grant:
    """So many messages may leave now; where that is none, `wait` is in how many seconds."""

    count: int
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class _Window:
    """A limit over `length` seconds, counted by pieces of `piece` seconds."""

    name: str
    limit: int
    piece: int
    length: int

    def recent(self, ledger: dict[str, Any], now: float) -> dict[int, int]:
        """The pieces that are not wholly over."""
        counts: dict[str, int] = ledger.get(self.name, {})
        since = now - self.length - self.piece
        return {int(begin): count for begin, count in counts.items() if int(begin) > since}

    def grant(self, ledger: dict[str, Any], now: float) -> Grant:
        recent = self.recent(ledger, now)
        left = self.limit - sum(recent.values())
        if left > 0:
            return Grant(left)
        return Grant(0, max(_BUSY, min(recent) + self.piece + self.length - now))

    def enter(self, ledger: dict[str, Any], now: float, count: int) -> dict[str, int]:
        """Its part of the ledger with so many more now."""
        recent = self.recent(ledger, now)
        begin = int(now) // self.piece * self.piece
        recent[begin] = max(0, recent.get(begin, 0) + count)
        return {str(begin): count for begin, count in recent.items()}


class Allowance:
    """What one campaign, or one account over all campaigns, may send."""

    def __init__(self, key: str, limits: RateLimited) -> None:
        self._key = key
        self._per_second = limits.rate_per_second
        windows = (
            _Window("minutes", limits.rate_per_hour or 0, _MINUTE, _HOUR),
            _Window("quarters", limits.rate_per_day or 0, _QUARTER, _DAY),
        )
        self._windows = tuple(window for window in windows if window.limit)

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self._per_second or self._windows)

    def take(self, wanted: int) -> Grant:
        """As many of `wanted` messages as may leave now."""
        if not self.is_limited:
            return Grant(wanted)
        for _ in range(_TRIES):
            row, now = self._read()
            grant = self._grant(row, now, wanted)
            if not grant.count or self._write(row, now, grant.count):
                return grant
        return Grant(0, _BUSY)

    def give_back(self, count: int) -> None:
        """So many of those taken just now did not leave; a second's part is not given back."""
        if not self._windows or count <= 0:
            return
        for _ in range(_TRIES):
            row, now = self._read()
            if self._write(row, now, -count):
                return

    def _grant(self, row: SendAllowance, now: datetime, wanted: int) -> Grant:
        if self._per_second:
            wait = (row.free_at - now).total_seconds() if row.free_at else 0.0
            if wait > 0:
                return Grant(0, wait)
            wanted = min(wanted, max(1, int(self._per_second * _PART_OF_SECOND)))
        for window in self._windows:
            grant = window.grant(row.ledger, now.timestamp())
            if not grant.count:
                return grant
            wanted = min(wanted, grant.count)
        return Grant(wanted)

    def _read(self) -> tuple[SendAllowance, datetime]:
        rows = SendAllowance.objects.filter(pk=self._key).annotate(now=Now())
        found = rows.first()
        if found is None:
            fresh = SendAllowance(pk=self._key)
            SendAllowance.objects.bulk_create([fresh], ignore_conflicts=True)
            found = rows.get()
        return found, found.now

    def _write(self, row: SendAllowance, now: datetime, count: int) -> bool:
        """Whether the row was still as it was read, and is changed now."""
        moment = now.timestamp()
        ledger = {each.name: each.enter(row.ledger, moment, count) for each in self._windows}
        changes: dict[str, Any] = {"ledger": {**row.ledger, **ledger}}
        if self._per_second and count > 0:
            begins = max(row.free_at or now, now)
            changes["free_at"] = begins + timedelta(seconds=count / self._per_second)
        same = SendAllowance.objects.filter(pk=row.pk, version=row.version)
        return bool(same.update(version=row.version + 1, **changes))


def allowance_of(campaign: Campaign) -> Allowance:
    """What the campaign may send, by whichever sender."""
    return Allowance(f"campaign:{campaign.pk}", campaign)


def say_limits(limits: RateLimited) -> str:
    """The limits in words, as `at most 5 a second and 1,000 an hour`; "" where there is none."""
    parts = [
        f"{limit:,} {unit}"
        for limit, unit in (
            (limits.rate_per_second, "a second"),
            (limits.rate_per_hour, "an hour"),
            (limits.rate_per_day, "a day"),
        )
        if limit
    ]
    return f"at most {' and '.join(parts)}" if parts else ""

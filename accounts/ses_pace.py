"""One allowance for all who send by the same account of Amazon SES, on whatever machine.

It is a row. Whoever wants to send reserves the next moments in it: `free_at` moves on by
what so many recipients cost at the account's rate, in an UPDATE that only holds from the
version of the row that was read. So any number of processes keep to the rate together, each
recipient has a moment of its own, and nobody asks in vain. A process reserves a fiftieth of
a second's recipients at once, to ask the database no more than fifty times a second.

The rate and the daily quota are SES's own words (GetAccount), asked for again every few
minutes. Times are those of the database's clock.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import Error as DatabaseError
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import SesQuota
from accounts.ses_account import read_account, row_for
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError, QuotaExceeded, RateExceeded, Reply, SendingPaused
from mailhub.mail.transports.ses import SesSettings

log = get_logger(__name__)

LONGEST_WAIT = 3.0
# A little less than is allowed, as messages arrive less evenly than they leave.
_PART_OF_RATE = 0.97
_RESERVED_SECONDS = 0.02
_GOOD_FOR = 1.0
_TRIES = 50
_LEAST, _LESS_EACH_TIME = 0.05, 0.7
_SLOW_AGAIN_AFTER = timedelta(seconds=1)
_RECOVERY_SECONDS = 60.0
QUARTER = 900
DAY = timedelta(hours=24)
_ASK_AGAIN = timedelta(seconds=QUARTER)


@dataclass(slots=True)
class _Reservation:
    """Moments of this process: `left` of them, from `begins` on (`time.monotonic()`)."""

    begins: float = 0.0
    step: float = 0.0
    used: int = 0
    left: int = 0

    def next(self, recipients: int, now: float) -> float | None:
        """Seconds until they may be written to; None where that needs another reservation."""
        if recipients > self.left or now > self.begins + self.step * self.used + _GOOD_FOR:
            return None
        wait = max(0.0, self.begins + self.step * self.used - now)
        self.used += recipients
        self.left -= recipients
        return wait


class SesPace:
    """The allowance of one account and region, as this process draws on it.

    It uses the database connection of the calling thread: a thread of one's own closes it.
    """

    def __init__(self, settings: SesSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._reserved = _Reservation()

    def take(self, recipients: int) -> float:
        """See `Pace.take`. Raises MailError, too, where SES cannot be asked what is allowed."""
        with self._lock:
            wait = self._reserved.next(recipients, time.monotonic())
            if wait is not None:
                return wait
            try:
                self._reserved = self._reserve(recipients)
            except DatabaseError as error:
                log.warning("the allowance of SES is out of reach", error=str(error))
                raise RateExceeded("It is not known how fast SES may be used now.") from error
            wait = self._reserved.next(recipients, time.monotonic())
            assert wait is not None
            return wait

    def slow_down(self) -> None:
        """Less by a third for the next minute, and nothing for a moment; not twice in a second."""
        with self._lock:
            self._reserved = _Reservation()
            row, now = _read(self._settings)
            if row.slowed_at is not None and now - row.slowed_at < _SLOW_AGAIN_AFTER:
                return
            factor = max(_LEAST, _factor(row, now) * _LESS_EACH_TIME)
            pause = timedelta(seconds=min(1.0, 1.0 / max(row.rate * factor, 1.0)))
            free_at = max(row.free_at or now, now) + pause
            if _write(row, slowed_to=factor, slowed_at=now, free_at=free_at):
                log.info("SES is used more slowly", account=str(row), part=round(factor, 2))

    def use_up(self, reply: Reply) -> QuotaExceeded:
        """Nobody sends until some of it frees, as far as that can be known.

        SES is asked first what it allows now: what was read last may be minutes old.
        """
        with self._lock:
            self._reserved = _Reservation()
            row, now = _read(self._settings)
            if (row.paused_until is None or row.paused_until <= now) and _write(
                row, read_due_at=now
            ):
                self._ask(row, now)
                row, now = _read(self._settings)
            pause = _pause(row, now)
            if _write(row, read_due_at=pause["paused_until"], **pause):
                log.warning("SES's daily quota is used up", account=str(row), reply=str(reply))
            return _used_up(row, now, pause, reply)

    def rate(self) -> float:
        """Recipients a second that the account allows, as far as is known; 0 before it is."""
        row, _ = _read(self._settings)
        return row.rate if row.is_known else 0.0

    def learn(self) -> None:
        """Have SES asked where nothing is known of the account, or it was long ago."""
        with self._lock:
            row, now = _read(self._settings)
            if row.read_due_at is None or row.read_due_at <= now:
                self._ask(row, now)

    def ask_anew(self) -> None:
        """A person wants it tried: whoever sends next asks SES, used up or not."""
        with self._lock:
            self._reserved = _Reservation()
            row, now = _read(self._settings)
            SesQuota.objects.filter(pk=row.pk, paused_until__gt=now).update(
                version=F("version") + 1, paused_until=None, frees_at=None, read_due_at=now
            )

    def _ask(self, row: SesQuota, now: datetime) -> None:
        try:
            read_account(row, now, self._settings)
        except MailError as error:
            log.warning("SES did not say what may be sent", error=error.message)

    def part_of_rate(self) -> float:
        """1, or less for a minute after SES refused for coming too fast."""
        return _factor(*_read(self._settings))

    def _reserve(self, recipients: int) -> _Reservation:
        for _ in range(_TRIES):
            row, now = _read(self._settings)
            if row.read_due_at is None or row.read_due_at <= now:
                read_account(row, now, self._settings)
                continue
            _refuse_closed(row, now)
            if row.left < recipients:
                pause = _pause(row, now)
                _write(row, **pause)
                raise _used_up(row, now, pause)
            rate = row.rate * _PART_OF_RATE * _factor(row, now)
            begins = max(row.free_at or now, now)
            wait = (begins - now).total_seconds()
            if wait > LONGEST_WAIT:
                raise RateExceeded("SES takes no more messages now.", retry_after=wait)
            count = int(min(max(recipients, rate * _RESERVED_SECONDS), row.left))
            if _write(
                row,
                free_at=begins + timedelta(seconds=count / rate),
                taken=row.taken + count,
                ledger=_entered(row.ledger, now, count),
            ):
                return _Reservation(time.monotonic() + wait, 1 / rate, left=count)
        raise RateExceeded("Too many send by SES at the same moment.")


def _read(settings: SesSettings) -> tuple[SesQuota, datetime]:
    """The row as it is, and what time it is for the database."""
    wanted = row_for(settings)
    rows = SesQuota.objects.filter(pk=wanted.pk).annotate(now=Now())
    found = rows.first()
    if found is None:
        SesQuota.objects.bulk_create([wanted], ignore_conflicts=True)
        found = rows.get()
    return found, found.now


def _write(row: SesQuota, **changes: object) -> bool:
    """Whether the row was still as it was read, and is changed now."""
    same = SesQuota.objects.filter(pk=row.pk, version=row.version)
    return bool(same.update(version=row.version + 1, **changes))


def _factor(row: SesQuota, now: datetime) -> float:
    """The part of the rate to use: it grows back within a minute of the last refusal."""
    if row.slowed_at is None:
        return 1.0
    since = (now - row.slowed_at).total_seconds()
    return min(1.0, row.slowed_to + max(0.0, since) / _RECOVERY_SECONDS)


def _refuse_closed(row: SesQuota, now: datetime) -> None:
    if not row.is_enabled:
        raise SendingPaused("Sending is paused for this SES account.")
    if row.paused_until is not None and row.paused_until > now:
        raise _used_up(row, now, {"paused_until": row.paused_until, "frees_at": row.frees_at})


def _pause(row: SesQuota, now: datetime) -> dict[str, datetime | None]:
    """When to ask again, and when recipients of a day ago leave the count."""
    oldest = min((int(quarter) for quarter in _recent(row.ledger, now)), default=None)
    if oldest is None:
        return {"paused_until": now + _ASK_AGAIN, "frees_at": None}
    frees_at = datetime.fromtimestamp(oldest + QUARTER, tz=now.tzinfo) + DAY
    return {"paused_until": min(frees_at, now + _ASK_AGAIN), "frees_at": frees_at}


def _used_up(
    row: SesQuota, now: datetime, pause: dict[str, datetime | None], reply: Reply | None = None
) -> QuotaExceeded:
    until, frees_at = pause["paused_until"], pause["frees_at"]
    assert until is not None
    words = f"The daily quota of the SES account ({row.daily:.0f} in 24 hours) is used up."
    if frees_at is not None:
        words += f" Some of it is free at {frees_at:%Y-%m-%d %H:%M} UTC at the latest."
    words += " SES is asked again by itself, each quarter of an hour."
    return QuotaExceeded(words, reply, retry_after=max(1.0, (until - now).total_seconds()))


def _entered(ledger: dict[str, int], now: datetime, count: int) -> dict[str, int]:
    """The ledger with so many more now, without what is older than a day."""
    quarter = str(int(now.timestamp()) // QUARTER * QUARTER)
    kept = _recent(ledger, now)
    return {**kept, quarter: kept.get(quarter, 0) + count}


def _recent(ledger: dict[str, int], now: datetime) -> dict[str, int]:
    since = (now - DAY).timestamp() - QUARTER
    return {quarter: count for quarter, count in ledger.items() if int(quarter) > since}


class _Paces:
    """The paces of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, SesPace] = {}

    def of(self, settings: SesSettings) -> SesPace:
        key = row_for(settings).pk
        with self._lock:
            return self._kept.setdefault(key, SesPace(settings))


_paces = _Paces()


def pace_of(settings: SesSettings) -> SesPace:
    """The pace that everybody in this process shares who sends by this account and region."""
    return _paces.of(settings)


def _start_anew() -> None:
    global _paces  # noqa: PLW0603 - a fork reserves for itself
    _paces = _Paces()


os.register_at_fork(after_in_child=_start_anew)

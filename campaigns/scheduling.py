"""When a campaign is to begin, as somebody reads it from the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from django.utils import timezone

from mailhub.errors import InvalidInput

# How far the clock of whoever asks may be behind, with the time that asking takes.
_LENIENCY = timedelta(minutes=5)
# Every zone of IANA is nearer to UTC: what is stored can be shown on the clocks of any.
_FARTHEST_ZONE = timedelta(days=1)


def find_zone(name: str) -> ZoneInfo:
    """The zone of this name of IANA, as `Europe/Zurich`. Raises InvalidInput."""
    # A name that is asked for only where it is known: it would be a path otherwise.
    if name not in available_timezones():
        raise InvalidInput.field("timezone", "Give the name of a time zone, as Europe/Zurich.")
    return ZoneInfo(name)


def moment_in(zone: ZoneInfo, moment: datetime) -> datetime:
    """The time on the clocks of that zone as a moment in UTC.

    One that knows its own offset keeps it; one that comes twice, in autumn, is the first.
    Raises InvalidInput for one that clocks leave out, in spring, and for one at either end
    of the calendar.
    """
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    try:
        meant = aware.astimezone(UTC)
        first = datetime.min.replace(tzinfo=UTC) + _FARTHEST_ZONE
        last = datetime.max.replace(tzinfo=UTC) - _FARTHEST_ZONE
        is_known = first <= meant <= last
    except OverflowError:
        is_known = False
    if not is_known:
        words = "Give a day between 2 January 0001 and 30 December 9999."
        raise InvalidInput.field("scheduled_at", words)
    if moment.tzinfo is None and meant.astimezone(zone).replace(tzinfo=None) != moment:
        raise InvalidInput.field(
            "scheduled_at", f"Clocks in {zone.key} are put forward then: there is no such time."
        )
    return meant


def refuse_past(moment: datetime | None) -> None:
    """Raises InvalidInput for a moment that passed more than a few minutes ago."""
    if moment is not None and moment < timezone.now() - _LENIENCY:
        raise InvalidInput.field("scheduled_at", "That time has passed already.")


def on_the_clock(zone_name: str, moment: datetime) -> datetime:
    """A moment as clocks of that zone show it."""
    return moment.astimezone(ZoneInfo(zone_name))

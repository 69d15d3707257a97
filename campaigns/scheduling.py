"""When a campaign is to begin, as somebody reads it from the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from mailhub.errors import InvalidInput


def find_zone(name: str) -> ZoneInfo:
    """The zone of this name of IANA, as `Europe/Zurich`. Raises InvalidInput."""
    # A name that is asked for only where it is known: it would be a path otherwise.
    if name not in available_timezones():
        raise InvalidInput.field("timezone", "Give the name of a time zone, as Europe/Zurich.")
    return ZoneInfo(name)


def moment_in(zone: ZoneInfo, moment: datetime) -> datetime:
    """The time on the clocks of that zone as a moment in UTC.

    One that knows its own offset keeps it; one that comes twice, in autumn, is the first.
    Raises InvalidInput for one that clocks leave out, in spring.
    """
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    meant = moment.replace(tzinfo=zone).astimezone(UTC)
    if meant.astimezone(zone).replace(tzinfo=None) != moment:
        raise InvalidInput.field(
            "scheduled_at", f"Clocks in {zone.key} are put forward then: there is no such time."
        )
    return meant


def on_the_clock(zone_name: str, moment: datetime) -> datetime:
    """A moment as clocks of that zone show it."""
    return moment.astimezone(ZoneInfo(zone_name))

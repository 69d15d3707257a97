"""How fast, when, and up to how many failures: what every way of making a campaign takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from campaigns.models.rate_limited import RateLimited
from campaigns.scheduling import find_zone, moment_in, refuse_past
from mailhub.api.strict import StrictMixin

_MOST = 10_000_000


class RateLimitSerializer(StrictMixin, serializers.Serializer[Any]):
    """So many messages in any second, hour and day, over all workers together; null: no limit."""

    per_second = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=_MOST
    )
    per_hour = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=_MOST
    )
    per_day = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=_MOST
    )


@extend_schema_field(
    {
        "type": "string",
        "format": "date-time",
        "description": "Refused where it passed more than five minutes ago.",
    }
)
class ClockField(serializers.DateTimeField):
    """A time with its offset, or as the clocks of `timezone` show it."""

    def enforce_timezone(self, value: Any) -> Any:
        return value


class PacingSerializer(StrictMixin, serializers.Serializer[Any]):
    """`scheduled_at` without an offset is a time in `timezone` (by its name of IANA, or UTC).
    One that passed more than five minutes ago is refused.

    At `failure_limit` percent of failures it pauses by itself; null: never.
    """

    scheduled_at = ClockField(required=False, allow_null=True)
    timezone = serializers.CharField(required=False, max_length=64)
    rate_limit = RateLimitSerializer(required=False, allow_null=True)
    failure_limit = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=100
    )


def pacing_of(given: Mapping[str, Any], zone_name: str = "UTC") -> dict[str, Any]:
    """Of the fields of PacingSerializer those that are given, as a campaign has them.

    `zone_name` is the zone that holds where none is given. Raises InvalidInput.
    """
    fields: dict[str, Any] = {}
    if "timezone" in given:
        fields["timezone"] = find_zone(given["timezone"]).key
    if "scheduled_at" in given:
        zone = find_zone(given.get("timezone", zone_name))
        moment = given["scheduled_at"]
        fields["scheduled_at"] = None if moment is None else moment_in(zone, moment)
        refuse_past(fields["scheduled_at"])
    if "rate_limit" in given:
        limit = given["rate_limit"] or {}
        fields |= {
            f"rate_{name}": limit.get(name) for name in ("per_second", "per_hour", "per_day")
        }
    if "failure_limit" in given:
        fields["failure_limit"] = given["failure_limit"]
    return fields


def rate_limit_of(limited: RateLimited) -> dict[str, int | None]:
    """As RateLimitSerializer has it."""
    return {
        "per_second": limited.rate_per_second,
        "per_hour": limited.rate_per_hour,
        "per_day": limited.rate_per_day,
    }

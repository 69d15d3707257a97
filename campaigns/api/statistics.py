"""`statistics`: totals of what was sent and what came back."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import CallerViewSet
from campaigns.standing import Standing
from campaigns.statistics import NAMES, By, Totals, gather, read_period
from mailhub.errors import InvalidInput


class TotalsSerializer(serializers.Serializer[Any]):
    """Messages, and what came back of them; rates are of `sent` and `failed` together."""

    sent = serializers.IntegerField()
    failed = serializers.IntegerField()
    delivered = serializers.IntegerField()
    bounced = serializers.IntegerField()
    complained = serializers.IntegerField()
    unsubscribed = serializers.IntegerField()
    opened = serializers.IntegerField()
    clicked = serializers.IntegerField()
    bounce_rate = serializers.FloatField()
    complaint_rate = serializers.FloatField()
    standing = serializers.ChoiceField([each.value for each in Standing])


class LineSerializer(TotalsSerializer):
    """`key` is a date, an address, a domain or a campaign's id."""

    key = serializers.CharField()
    name = serializers.CharField()


@extend_schema_serializer(many=False)
class StatisticsSerializer(serializers.Serializer[Any]):
    """Totals of the days from `from` to `to`, both included (UTC)."""

    to = serializers.DateField()
    by = serializers.ChoiceField([each.value for each in By])
    totals = TotalsSerializer()
    rows = LineSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        # A word of the language.
        return {"from": serializers.DateField(), **super().get_fields()}


class StatisticsViewSet(CallerViewSet):
    """What the tenant sent, over time."""

    scope = "campaigns"

    @extend_schema(
        operation_id="statistics_retrieve",
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATE, description="Thirty days, without it."),
            OpenApiParameter("to", OpenApiTypes.DATE, description="Today, without it."),
            OpenApiParameter("by", enum=[each.value for each in By], default=By.DAY.value),
        ],
        responses=StatisticsSerializer,
    )
    def list(self, request: Request) -> Response:
        """Sends, deliveries, bounces, complaints, opens and clicks, by day or by who sent."""
        asked = request.query_params
        wanted = asked.get("by", By.DAY.value)
        if wanted not in [each.value for each in By]:
            raise InvalidInput.field("by", f"Give one of {', '.join(By)}.")
        period = read_period(asked.get("from", ""), asked.get("to", ""))
        found = gather(self.caller, *period, By(wanted))
        return Response(
            {
                "from": found.first.isoformat(),
                "to": found.last.isoformat(),
                "by": str(found.by),
                "totals": _values(found.totals),
                "rows": [
                    {"key": line.key, "name": line.words, **_values(line.totals)}
                    for line in found.lines
                ],
            }
        )


def _values(totals: Totals) -> dict[str, Any]:
    rates = totals.rates
    return {
        **{name: getattr(totals, name) for name in NAMES},
        "bounce_rate": round(rates.bounce_rate, 5),
        "complaint_rate": round(rates.complaint_rate, 5),
        "standing": str(rates.standing),
    }

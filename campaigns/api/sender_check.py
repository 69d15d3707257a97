"""`sender-check`: whether bulk mail from an address would arrive."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import CallerViewSet
from campaigns.models import Campaign
from campaigns.sender_check import SenderCheck, check_sender
from mailhub.errors import InvalidInput
from mailhub.mail.sender_records import Result

_RESULTS = [each.value for each in Result]


class SenderFindingSerializer(serializers.Serializer[Any]):
    """One thing that receivers look at; `records` as they stand in the DNS."""

    name = serializers.CharField()
    result = serializers.ChoiceField(_RESULTS)
    message = serializers.CharField()
    records = serializers.ListField(child=serializers.CharField())


class SesStandingSerializer(serializers.Serializer[Any]):
    """What SES says of the sender and of the account; `daily` is -1 for no limit."""

    region = serializers.CharField()
    identity = serializers.CharField(allow_blank=True)
    is_verified = serializers.BooleanField()
    is_in_sandbox = serializers.BooleanField()
    rate = serializers.FloatField()
    daily = serializers.FloatField()
    sent = serializers.FloatField()


@extend_schema_serializer(many=False)
class SenderCheckSerializer(serializers.Serializer[Any]):
    """`result` is the worst of the checks; `ses` is null where it would not go by SES."""

    domain = serializers.CharField()
    result = serializers.ChoiceField(_RESULTS)
    checks = SenderFindingSerializer(many=True)
    ses = SesStandingSerializer(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # A word of the language.
        return {"from": serializers.EmailField(), **super().get_fields()}


class SenderCheckViewSet(CallerViewSet):
    """SPF, DKIM, DMARC and MX of a sender's domain, and its standing at SES."""

    scope = "campaigns"

    @extend_schema(
        operation_id="sender_check_retrieve",
        parameters=[
            OpenApiParameter("from", required=True, description="The sender's address."),
            OpenApiParameter("campaign", description="The id of a campaign: by the way it goes."),
        ],
        responses=SenderCheckSerializer,
    )
    def list(self, request: Request) -> Response:
        """Look at the DNS, and ask SES, for an address that campaigns are to be sent from."""
        text = request.query_params.get("from", "").strip()
        if not text:
            raise InvalidInput.field("from", "Give the sender's address.")
        named = request.query_params.get("campaign", "")
        campaign = Campaign.objects.for_caller(self.caller).filter(campaign_id=named).first()
        if named and campaign is None:
            raise InvalidInput.field("campaign", "There is no such campaign.")
        return Response(_values(check_sender(self.caller, text, campaign)))


def _values(found: SenderCheck) -> dict[str, Any]:
    ses = found.ses
    return {
        "from": found.address,
        "domain": found.domain,
        "result": str(found.result),
        "checks": [
            {
                "name": each.name,
                "result": str(each.result),
                "message": each.words,
                "records": list(each.records),
            }
            for each in found.checks
        ],
        "ses": None
        if ses is None
        else {
            "region": ses.region,
            "identity": ses.identity,
            "is_verified": ses.is_verified,
            "is_in_sandbox": ses.is_in_sandbox,
            "rate": ses.rate,
            "daily": ses.daily,
            "sent": ses.sent,
        },
    }

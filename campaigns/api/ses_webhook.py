"""`webhooks/ses`: where Amazon SNS posts what became of mail at SES."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from campaigns.feedback.intake import take_posted
from campaigns.feedback.sns import LARGEST_NOTICE, read_notice
from mailhub.api.parsing import StrictJSONParser
from mailhub.api.requests import declared_length
from mailhub.errors import TooLarge


class NoticeParser(StrictJSONParser):
    """SNS calls its JSON text/plain."""

    media_type = "*/*"


class NoticeSerializer(serializers.Serializer[Any]):
    """A post of Amazon SNS, as it sends it."""

    Type = serializers.ChoiceField(
        ["SubscriptionConfirmation", "Notification", "UnsubscribeConfirmation"]
    )
    MessageId = serializers.CharField()
    TopicArn = serializers.CharField()
    Message = serializers.CharField()
    Timestamp = serializers.DateTimeField()
    SignatureVersion = serializers.ChoiceField(["1", "2"])
    Signature = serializers.CharField()
    SigningCertURL = serializers.URLField()


class TakenSerializer(serializers.Serializer[Any]):
    """The notice is kept."""

    status = serializers.CharField(help_text="accepted.")


class SesWebhookViewSet(ViewSet):
    """Needs no key: what AWS signs for a registered topic is taken, nothing else is."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    parser_classes = (NoticeParser,)

    @extend_schema(request=NoticeSerializer, responses=TakenSerializer, auth=[])
    def create(self, request: Request) -> Response:
        """Take what SNS tells: a confirmation of the subscription, or events of SES."""
        if declared_length(request.META) > LARGEST_NOTICE:
            raise TooLarge("SNS sends no notice of this size.")
        take_posted(read_notice(request.data))
        return Response({"status": "accepted"})

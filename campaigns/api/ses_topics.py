"""`ses-topics`: the topics of Amazon SNS whose word a tenant takes on its mail."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from accounts.models import Credential, CredentialKind
from campaigns.feedback.queues import is_queue_url
from campaigns.feedback.sns import is_topic
from campaigns.models import SesTopic
from mailhub.api.strict import StrictMixin
from mailhub.errors import Conflict


class SesTopicSerializer(StrictMixin, serializers.ModelSerializer[SesTopic]):
    """`queue_url` is a queue of Amazon SQS that is subscribed to the topic, for where SNS cannot
    post to this installation; it is read with the keys of `credential_id`, of kind aws.
    """

    credential_id = serializers.UUIDField(required=False, allow_null=True)
    queue_url = serializers.CharField(required=False, allow_blank=True, max_length=500)

    class Meta:
        model = SesTopic
        fields = (
            "id",
            "arn",
            "queue_url",
            "credential_id",
            "created_at",
            "confirmed_at",
            "last_notice_at",
            "trouble",
        )
        read_only_fields = ("id", "created_at", "confirmed_at", "last_notice_at", "trouble")
        extra_kwargs: ClassVar[dict[str, Any]] = {"arn": {"validators": []}}

    def validate_arn(self, value: str) -> str:
        if not is_topic(value):
            words = "Give the ARN of an SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME."
            raise serializers.ValidationError(words)
        return value

    def validate_queue_url(self, value: str) -> str:
        if value and not is_queue_url(value):
            words = "Give the URL of an SQS queue: https://sqs.REGION.amazonaws.com/ACCOUNT/NAME."
            raise serializers.ValidationError(words)
        return value

    def validate_credential_id(self, value: Any) -> Any:
        mine = Credential.objects.for_caller(self.context["caller"])
        if value and not mine.filter(pk=value, kind=CredentialKind.AWS).exists():
            raise serializers.ValidationError("You have no such credential of kind aws.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if bool(attrs.get("queue_url")) != bool(attrs.get("credential_id")):
            words = "Give a queue_url and a credential_id, or neither."
            raise serializers.ValidationError({"credential_id": [words]})
        return attrs


class SesTopicViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[SesTopic]):
    """The tenant's topics. For admins."""

    scope = "admin"
    queryset = SesTopic.objects.all()
    serializer_class = SesTopicSerializer
    lookup_value_regex = "[0-9]{1,18}"
    page_key = "ses_topics"

    @extend_schema(responses={201: SesTopicSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """Take the word of this topic. Then subscribe `https://…/api/webhooks/ses` to it."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        topic, is_new = SesTopic.objects.get_or_create(
            arn=given.pop("arn"), defaults={**given, "tenant": self.caller.tenant}
        )
        if not is_new:
            raise Conflict("This topic is registered already.", code="topic_registered")
        return Response(self.get_serializer(topic).data, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take its word no more; what it told stays."""
        self.get_object().delete()
        return Response(status=204)

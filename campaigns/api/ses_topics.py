"""`ses-topics`: the topics of Amazon SNS whose word a tenant takes on its mail."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from campaigns.feedback.topics import readers_for, register_topic
from campaigns.models import SesTopic
from mailhub.api.strict import StrictMixin


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

    def validate_credential_id(self, value: Any) -> Any:
        if value and not readers_for(self.context["caller"]).filter(pk=value).exists():
            raise serializers.ValidationError("You have no such credential of kind aws.")
        return value


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
        pk = given.pop("credential_id", None)
        credential = readers_for(self.caller).filter(pk=pk).first() if pk else None
        topic = register_topic(self.caller.tenant, **given, credential=credential)
        return Response(self.get_serializer(topic).data, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take its word no more; what it told stays."""
        self.get_object().delete()
        return Response(status=204)

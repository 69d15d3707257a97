"""`campaigns` and `campaign-status`: what was sent, how far it is, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from campaigns.api.draft_fields import CampaignDetailSerializer, detail_values
from campaigns.api.drafts import DraftActions
from campaigns.api.progress import (
    CampaignSerializer,
    CampaignStatusSerializer,
    campaign_values,
    status_values,
)
from campaigns.diagnostics import FIELDS, diagnostic_of, with_diagnostics
from campaigns.lifecycle import cancel_campaign, pause_campaign, resume_campaign
from campaigns.models import RESPONSES, SHOWN_STATES, Campaign, CampaignStatus, Delivery, shown_as
from campaigns.progress import look_at, measure_progress, measure_progress_of
from campaigns.resolving import (
    Resolution,
    mark_uncertain_sent,
    resend_uncertain,
    retry_failed,
)
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput


class RetrySerializer(StrictMixin, serializers.Serializer[Any]):
    """`smtp_password` is needed where it came with the campaign, and is erased at its end."""

    smtp_password = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, write_only=True, max_length=4096
    )


class RetriedSerializer(CampaignSerializer):
    """The campaign, how many are tried again, and how many may not be written to any more."""

    retried_count = serializers.IntegerField()
    not_retried_count = serializers.IntegerField()


class ResolutionSerializer(RetrySerializer):
    """What is to become of the uncertain."""

    action = serializers.ChoiceField([each.value for each in Resolution])


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One recipient; `reply` holds the server's words.

    `account_id` is the account that sends to it: null where it goes by no account, and where
    several share the campaign until one of them takes it. The moments from `delivered_at` on are
    the first of their kind, by people. An open or a click within 5 seconds after the server took
    the message counts as one by a program, whatever the browser. `bounce_class` and
    `bounce_reason` are of what came back, `delay_reason` of what was late, "" where nothing was.
    """

    account_id = serializers.UUIDField(source="goes_by", allow_null=True)
    state = serializers.ChoiceField(SHOWN_STATES, source="shown_state")
    bounce_class = serializers.SerializerMethodField()
    bounce_reason = serializers.SerializerMethodField()
    delay_reason = serializers.SerializerMethodField()

    class Meta:
        model = Delivery
        fields = (
            "email",
            "account_id",
            "state",
            "attempts",
            "next_attempt_at",
            "message_id",
            "provider_id",
            "reply",
            "finished_at",
            "delivered_at",
            *(f"{name}_at" for name in RESPONSES),
            *FIELDS,
        )

    def get_bounce_class(self, delivery: Delivery) -> str:
        """hard, soft, unclear, policy, content, sender or opt_out."""
        return diagnostic_of(delivery).bounce_class

    def get_bounce_reason(self, delivery: Delivery) -> str:
        """The words of the server that sent it back, or its code."""
        return diagnostic_of(delivery).bounce_reason

    def get_delay_reason(self, delivery: Delivery) -> str:
        """Why it was late, as it was told last."""
        return diagnostic_of(delivery).delay_reason


class CampaignsOfCaller(TenantViewSet[Campaign]):
    """What both resources share."""

    scope = "campaigns"
    # What a list does not show is not read.
    queryset = Campaign.objects.defer("html_body", "text_body", "headers", "smtp_password")
    lookup_field = "campaign_id"
    lookup_value_regex = "[a-z0-9_]+"
    page_key = "campaigns"


# A serializer makes its fields anew, which takes as long as all else in such an answer.
_STATUS = CampaignStatusSerializer()


class CampaignStatusViewSet(CampaignsOfCaller):
    """The progress of one campaign."""

    serializer_class = CampaignStatusSerializer

    def retrieve(self, request: Request, campaign_id: str) -> Response:
        """How far the campaign is; made to be asked for every two seconds."""
        found = look_at(self.caller, campaign_id)
        if found is None:
            raise Http404
        return Response(_STATUS.to_representation(status_values(*found)))


class CampaignViewSet(DraftActions, CampaignsOfCaller):
    """The tenant's campaigns, newest first."""

    serializer_class = CampaignSerializer

    @extend_schema(
        parameters=[OpenApiParameter("status", enum=CampaignStatus.values)],
        responses=CampaignSerializer(many=True),
    )
    def list(self, request: Request) -> Response:
        """The tenant's campaigns, newest first."""
        rows = _narrow(self.get_queryset(), request, "status", CampaignStatus.values)
        page = self.paginate_queryset(rows) or []
        measured = measure_progress_of(page)
        values = [campaign_values(campaign, measured[campaign.pk]) for campaign in page]
        return self.get_paginated_response(CampaignSerializer(values, many=True).data)

    @extend_schema(responses=CampaignDetailSerializer)
    def retrieve(self, request: Request, campaign_id: str) -> Response:
        """One campaign with all that belongs to it."""
        return Response(CampaignDetailSerializer(detail_values(self.get_object())).data)

    @extend_schema(request=None, responses=CampaignSerializer)
    @action(detail=True, methods=["post"])
    @idempotent()
    def pause(self, request: Request, campaign_id: str) -> Response:
        """Send nothing more for now; what is on its way ends."""
        return self._change(pause_campaign)

    @extend_schema(request=None, responses=CampaignSerializer)
    @action(detail=True, methods=["post"])
    @idempotent()
    def resume(self, request: Request, campaign_id: str) -> Response:
        """Go on where it was paused."""
        return self._change(resume_campaign)

    @extend_schema(request=None, responses=CampaignSerializer)
    @action(detail=True, methods=["post"])
    @idempotent()
    def cancel(self, request: Request, campaign_id: str) -> Response:
        """Send nothing more, for good."""
        return self._change(cancel_campaign)

    @extend_schema(request=ResolutionSerializer, responses=CampaignSerializer)
    @action(detail=True, methods=["post"], url_path="resolve-uncertain")
    @idempotent()
    def resolve_uncertain(self, request: Request, campaign_id: str) -> Response:
        """Decide about the uncertain: `resend`, which may reach somebody twice, or `mark_sent`."""
        serializer = ResolutionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        if given["action"] == Resolution.RESEND:
            password = given.get("smtp_password", "")
            return self._change(lambda campaign: resend_uncertain(campaign, password=password))
        by = self.caller.user.get_username()
        return self._change(lambda campaign: mark_uncertain_sent(campaign, by=by))

    @extend_schema(request=RetrySerializer, responses=RetriedSerializer)
    @action(detail=True, methods=["post"], url_path="retry-failed")
    @idempotent()
    def retry_failed(self, request: Request, campaign_id: str) -> Response:
        """Try everybody again who failed; who is suppressed since stays failed."""
        serializer = RetrySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        password = serializer.validated_data.get("smtp_password", "")
        campaign = self.get_object()
        retried = retry_failed(campaign, password=password)
        values = campaign_values(campaign, measure_progress(campaign))
        counts = {"retried_count": retried.queued, "not_retried_count": retried.left}
        return Response(RetriedSerializer({**values, **counts}).data)

    def _change(self, change: Callable[[Campaign], object]) -> Response:
        campaign = self.get_object()
        change(campaign)
        return self._answer(campaign)

    def _answer(self, campaign: Campaign) -> Response:
        values = campaign_values(campaign, measure_progress(campaign))
        return Response(CampaignSerializer(values).data)


class DeliveryViewSet(mixins.ListModelMixin, TenantViewSet[Delivery]):
    """The recipients of one campaign."""

    scope = "campaigns"
    queryset = Delivery.objects.all()
    serializer_class = DeliverySerializer
    page_key = "deliveries"
    page_ordering = "pk"

    def get_queryset(self) -> QuerySet[Delivery]:
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        campaigns = Campaign.objects.for_caller(self.caller).only("pk")
        campaign = get_object_or_404(campaigns, campaign_id=self.kwargs["campaign_id"])
        rows = with_diagnostics(rows.filter(campaign=campaign)).annotate(
            goes_by=Coalesce("account_id", "campaign__account_id")
        )
        state = self.request.query_params.get("state")
        if state is not None:
            if state not in SHOWN_STATES:
                raise InvalidInput.field("state", f"Give one of {', '.join(SHOWN_STATES)}.")
            rows = rows.filter(shown_as(state))
        response = self.request.query_params.get("response")
        if response is not None:
            if response not in RESPONSES:
                raise InvalidInput.field("response", f"Give one of {', '.join(RESPONSES)}.")
            rows = rows.filter(**{f"{response}_at__isnull": False})
        email = self.request.query_params.get("email")
        return rows.filter(email=email.strip().lower()) if email else rows

    @extend_schema(
        parameters=[
            OpenApiParameter("state", enum=list(SHOWN_STATES)),
            OpenApiParameter("response", enum=list(RESPONSES), description="What came back."),
            OpenApiParameter("email", description="One address, as it was written to."),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The recipients of the campaign and what became of each."""
        return super().list(request, *args, **kwargs)


def _narrow(rows: QuerySet[Any], request: Request, name: str, values: list[str]) -> QuerySet[Any]:
    wanted = request.query_params.get(name)
    if wanted is None:
        return rows
    if wanted not in values:
        raise InvalidInput.field(name, f"Give one of {', '.join(values)}.")
    return rows.filter(**{name: wanted})

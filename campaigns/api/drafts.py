"""Campaigns as they are written: draft, look at, try, start."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from campaigns.advice import advise
from campaigns.api.draft_fields import (
    AudienceCountSerializer,
    AudienceSerializer,
    CampaignDetailSerializer,
    DraftSerializer,
    detail_values,
)
from campaigns.api.templates import (
    ForSerializer,
    MessagePreviewSerializer,
    TrialSerializer,
    TriedSerializer,
)
from campaigns.audience import (
    EVERYONE,
    AudienceGone,
    audience_rule,
    count_recipients,
)
from campaigns.counting import count_audience
from campaigns.drafting import (
    change_draft,
    create_draft,
    delete_campaign,
    duplicate,
    launch,
)
from campaigns.files import read_attachments
from campaigns.lifecycle import unschedule_campaign
from campaigns.models import Campaign
from campaigns.previewing import find_person, send_trial, write_letter
from campaigns.senders import sent_as
from campaigns.standing import Standing
from mailhub.api.strict import StrictMixin


class StartSerializer(StrictMixin, serializers.Serializer[Any]):
    """`now` starts it whatever it is scheduled for."""

    now = serializers.BooleanField(required=False, default=False)


class AdviceSerializer(serializers.Serializer[Any]):
    """What speaks for or against the message as it stands; it forbids nothing."""

    standing = serializers.ChoiceField([each.value for each in Standing])
    message = serializers.CharField()


class LetterSerializer(MessagePreviewSerializer):
    """What this contact would get: as it is read, and as it goes over the wire.

    `checks` are those of the composer, the worst first.
    """

    raw = serializers.CharField()
    size = serializers.IntegerField(help_text="In octets.")
    checks = AdviceSerializer(many=True)


class DraftActions(TenantViewSet[Campaign]):
    """What can be done with a campaign before it goes, and with its copies."""

    reading_actions = ("preview", "count_audience")

    @extend_schema(request=DraftSerializer, responses={201: CampaignDetailSerializer})
    @idempotent()
    def create(self, request: Request) -> Response:
        """A draft, which sends nothing before it is started."""
        serializer = DraftSerializer(data=request.data, context={"caller": self.caller})
        serializer.is_valid(raise_exception=True)
        return self._whole(create_draft(self.caller, serializer.changes()), status=201)

    @extend_schema(request=DraftSerializer, responses=CampaignDetailSerializer)
    def partial_update(self, request: Request, campaign_id: str) -> Response:
        """Change a draft, or a scheduled campaign, which must be fit to go afterwards."""
        campaign = self.get_object()
        serializer = DraftSerializer(data=request.data, context={"caller": self.caller})
        serializer.is_valid(raise_exception=True)
        changes = serializer.changes(campaign.timezone)
        return self._whole(change_draft(self.caller, campaign, changes))

    def destroy(self, request: Request, campaign_id: str) -> Response:
        """Delete a campaign that has written to nobody; the history of others is kept."""
        delete_campaign(self.get_object())
        return Response(status=204)

    @extend_schema(request=StartSerializer, responses=CampaignDetailSerializer)
    @action(detail=True, methods=["post"])
    @idempotent(talks_to_servers=True)
    def start(self, request: Request, campaign_id: str) -> Response:
        """Send it: at its `scheduled_at` where that is still to come, else now."""
        serializer = StartSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        at_once = serializer.validated_data["now"]
        return self._whole(launch(self.get_object(), at_once=at_once))

    @extend_schema(request=None, responses=CampaignDetailSerializer)
    @action(detail=True, methods=["post"])
    @idempotent()
    def unschedule(self, request: Request, campaign_id: str) -> Response:
        """Make a draft again of one that waits for its time."""
        campaign = self.get_object()
        unschedule_campaign(campaign)
        return self._whole(campaign)

    @extend_schema(request=None, responses={201: CampaignDetailSerializer})
    @action(detail=True, methods=["post"])
    @idempotent()
    def duplicate(self, request: Request, campaign_id: str) -> Response:
        """A new draft that says the same to the same people."""
        return self._whole(duplicate(self.caller, self.get_object()), status=201)

    @extend_schema(request=ForSerializer, responses=LetterSerializer)
    @action(detail=True, methods=["post"])
    def preview(self, request: Request, campaign_id: str) -> Response:
        """What a contact would get. An unknown variable is an error here."""
        campaign = self.get_object()
        serializer = ForSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        person = find_person(self.caller, serializer.validated_data.get("contact", ""))
        files = read_attachments(campaign.attachments.select_related("file"))
        letter = write_letter(sent_as(campaign)[0], files, person)
        return Response(
            {
                "contact": person.email,
                "subject": letter.preview.subject,
                "html": letter.preview.html,
                "text": letter.preview.text,
                "raw": letter.raw.decode("ascii", "replace"),
                "size": len(letter.raw),
                "checks": [
                    {"standing": advice.standing, "message": advice.words}
                    for advice in advise(campaign, files, len(letter.raw), _reached(campaign))
                ],
            }
        )

    @extend_schema(request=TrialSerializer, responses=TriedSerializer)
    @action(detail=True, methods=["post"])
    @idempotent(talks_to_servers=True)
    def test(self, request: Request, campaign_id: str) -> Response:
        """Send it to a few addresses now, marked as a test; nothing of it is counted."""
        campaign = self.get_object()
        serializer = TrialSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        person = find_person(self.caller, given.get("contact", ""))
        files = read_attachments(campaign.attachments.select_related("file"))
        send_trial(sent_as(campaign)[0], files, person, given["to"])
        return Response({"status": "success", "sent_to": given["to"]})

    @extend_schema(request=AudienceSerializer, responses=AudienceCountSerializer)
    @action(detail=False, methods=["post"], url_path="audience", url_name="count-audience")
    def count_audience(self, request: Request) -> Response:
        """How many an audience would reach now, and who is left out, and why."""
        serializer = AudienceSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        recipients = serializer.recipients()
        rule = audience_rule(self.caller, recipients)
        rule = {EVERYONE: True} if serializer.validated_data.get("everyone") else rule
        repeated = len(recipients.emails) - len(set(recipients.emails))
        counted = count_audience(self.caller.tenant, rule, repeated)
        return Response(AudienceCountSerializer({"total": counted.total, "left_out": counted}).data)

    def _whole(self, campaign: Campaign, status: int = 200) -> Response:
        return Response(CampaignDetailSerializer(detail_values(campaign)).data, status=status)


def _reached(campaign: Campaign) -> int | None:
    """How many it would reach now; None where a list or a segment is there no more."""
    try:
        return count_recipients(campaign.tenant, campaign.audience.rule)
    except AudienceGone:
        return None

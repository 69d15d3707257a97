"""`smtp-campaign` and `ses-campaign`: one call that makes a campaign and starts it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import CallerViewSet
from accounts.connections import smtp_encryption
from accounts.idempotency import idempotent
from accounts.models import AccountEncryption
from accounts.validators import clean_hostname
from campaigns.api.fields import (
    MOST_ATTACHMENTS,
    AddressField,
    NewFileSerializer,
    OneLineField,
    SegmentField,
)
from campaigns.api.pacing import PacingSerializer, pacing_of
from campaigns.api.sending_account import sending_account
from campaigns.api.tracking import TrackingSerializer
from campaigns.audience import Recipients
from campaigns.creation import CampaignPlan, PlannedServer, create_campaign
from campaigns.models import Campaign, CampaignKind
from contacts.addresses import InvalidAddress, normalise_email
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.headers import check_header_name
from mailhub.mail.server import DEFAULT_PORTS, Protocol

MOST_ADDRESSES = 100_000
MOST_LISTS = 100
MOST_HEADERS = 30
_SHOWN_BAD_ADDRESSES = 20


class CampaignInputSerializer(PacingSerializer):
    """What every call that makes a campaign takes.

    `subject`, `body` (HTML) and `text_body` may hold placeholders such as
    `{{ first_name }}`. It goes to whoever is subscribed to one of `list_ids`, or is in the
    `segment`, and to `emails`, each once; without any of these to every contact.

    A List-Unsubscribe among the `headers` is sent in place of mailhub's own, without its
    one-click; who leaves by it is not known here. List-Unsubscribe-Post goes with it alone.
    """

    subject = OneLineField(max_length=1000)
    body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    text_body = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    campaign_name = OneLineField(required=False, allow_blank=True, max_length=200)
    from_email = AddressField(required=False, allow_blank=True, max_length=400)
    reply_to = AddressField(required=False, allow_blank=True, max_length=400)
    headers = serializers.DictField(child=OneLineField(allow_blank=True), required=False)
    account_id = serializers.UUIDField(required=False)
    emails = serializers.ListField(
        child=serializers.CharField(), required=False, allow_empty=False, max_length=MOST_ADDRESSES
    )
    list_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        allow_empty=False,
        max_length=MOST_LISTS,
    )
    segment = SegmentField(required=False)
    attachments = serializers.ListField(
        child=NewFileSerializer(), required=False, max_length=MOST_ATTACHMENTS
    )
    tracking = TrackingSerializer(required=False)

    kind: ClassVar[CampaignKind]

    def validate_headers(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > MOST_HEADERS:
            raise serializers.ValidationError(f"Give at most {MOST_HEADERS} header fields.")
        for name in value:
            try:
                check_header_name(name)
            except InvalidMessage as error:
                raise serializers.ValidationError(error.message) from error
        given = {name.lower() for name in value}
        if "list-unsubscribe-post" in given and "list-unsubscribe" not in given:
            raise serializers.ValidationError(
                "List-Unsubscribe-Post belongs to a List-Unsubscribe beside it. Give neither, "
                "and mailhub writes both."
            )
        return value

    def validate_emails(self, value: list[str]) -> list[str]:
        emails, bad = [], []
        for text in value:
            try:
                emails.append(normalise_email(text))
            except InvalidAddress as error:
                bad.append(f"{' '.join(text[:100].split())}: {error}")
        if bad:
            raise serializers.ValidationError(bad[:_SHOWN_BAD_ADDRESSES])
        return emails

    def plan(self) -> CampaignPlan:
        """What is asked for, once it is valid. Raises InvalidInput for a foreign account."""
        given = self.validated_data
        return CampaignPlan(
            kind=self.kind,
            name=given.get("campaign_name", ""),
            subject=given["subject"],
            html_body=given.get("body", ""),
            text_body=given.get("text_body", ""),
            from_email=given.get("from_email", ""),
            reply_to=given.get("reply_to", ""),
            headers=given.get("headers", {}),
            attachments=tuple(each["attachment"] for each in given.get("attachments", ())),
            account=sending_account(self.context["caller"], given.get("account_id")),
            server=self._server(),
            recipients=Recipients(
                lists=tuple(given.get("list_ids", ())),
                segments=tuple(given[name] for name in ("segment",) if name in given),
                emails=tuple(given.get("emails", ())),
            ),
            pacing=pacing_of(given),
            tracks_opens=given.get("tracking", {}).get("opens", False),
            tracks_clicks=given.get("tracking", {}).get("clicks", False),
        )

    def _server(self) -> PlannedServer | None:
        """The server that the call names; only one over SMTP can."""
        return None


class SmtpCampaignSerializer(CampaignInputSerializer):
    """The server is one of three: smtp_server, account_id, or the installation's own.

    The rest is as in every call that makes a campaign.
    """

    smtp_server = serializers.CharField(required=False, allow_blank=True, max_length=253)
    smtp_port = serializers.IntegerField(required=False, min_value=1, max_value=65_535)
    smtp_encryption = serializers.ChoiceField(AccountEncryption.choices, required=False)
    smtp_username = OneLineField(required=False, allow_blank=True, max_length=320)
    smtp_password = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, write_only=True, max_length=4096
    )

    kind = CampaignKind.SMTP

    def validate_smtp_server(self, value: str) -> str:
        return clean_hostname(value) if value else ""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = [name for name in attrs if name.startswith("smtp_")]
        if attrs.get("account_id") and named:
            raise serializers.ValidationError(
                {name: ["Give a server or an account_id, not both."] for name in named}
            )
        if named and not attrs.get("smtp_server"):
            raise serializers.ValidationError(
                {"smtp_server": ["Name the server to which the other smtp_ fields belong."]}
            )
        return attrs

    def _server(self) -> PlannedServer | None:
        given = self.validated_data
        if not given.get("smtp_server"):
            return None
        encryption = smtp_encryption(given.get("smtp_encryption", ""), given.get("smtp_port"))
        return PlannedServer(
            host=given["smtp_server"],
            port=given.get("smtp_port") or DEFAULT_PORTS[Protocol.SMTP, encryption],
            encryption=encryption,
            username=given.get("smtp_username", ""),
            password=given.get("smtp_password", ""),
        )


class SesCampaignSerializer(CampaignInputSerializer):
    """It goes by `account_id`, an account that sends by SES, or by the installation's own SES.

    `from_email` is one that SES has verified. The rest is as in every call that makes a
    campaign.
    """

    kind = CampaignKind.SES


class StartedSerializer(serializers.Serializer[Any]):
    """A campaign that was accepted, and where to follow it."""

    campaign_id = serializers.CharField()
    status = serializers.CharField()
    total_contacts = serializers.IntegerField()
    status_url = serializers.URLField()
    progress_url = serializers.URLField()


def started_answer(campaign: Campaign) -> dict[str, Any]:
    """The answer to a call that made a campaign."""
    base = settings.MAILHUB_PUBLIC_URL
    return {
        "campaign_id": campaign.campaign_id,
        "status": campaign.status,
        "total_contacts": campaign.total_contacts,
        "status_url": f"{base}/api/campaign-status/{campaign.campaign_id}",
        "progress_url": base + reverse("campaign", args=[campaign.campaign_id]),
    }


class SmtpCampaignViewSet(CallerViewSet):
    """Bulk mail over any SMTP server."""

    scope = "campaigns"

    @extend_schema(request=SmtpCampaignSerializer, responses={202: StartedSerializer})
    @idempotent(talks_to_servers=True)
    def create(self, request: Request) -> Response:
        """Send a personalised message to many, now or at `scheduled_at`."""
        serializer = SmtpCampaignSerializer(data=request.data, context={"caller": self.caller})
        serializer.is_valid(raise_exception=True)
        campaign = create_campaign(self.caller, serializer.plan())
        return Response(started_answer(campaign), status=202)


class SesCampaignViewSet(CallerViewSet):
    """Bulk mail over Amazon SES."""

    scope = "campaigns"

    @extend_schema(request=SesCampaignSerializer, responses={202: StartedSerializer})
    @idempotent(talks_to_servers=True)
    def create(self, request: Request) -> Response:
        """Send a personalised message to many by SES, now or at `scheduled_at`."""
        serializer = SesCampaignSerializer(data=request.data, context={"caller": self.caller})
        serializer.is_valid(raise_exception=True)
        campaign = create_campaign(self.caller, serializer.plan())
        return Response(started_answer(campaign), status=202)

"""A campaign in answers: as it was asked for, and how far it is."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from campaigns.api.tracking import TrackingSerializer
from campaigns.models import RESPONSES, Campaign, CampaignStatus
from campaigns.progress import Progress


class CampaignStatusSerializer(serializers.Serializer[Any]):
    """How far a campaign is: total = sent + failed + skipped + uncertain + remaining."""

    campaign_id = serializers.CharField()
    campaign_name = serializers.CharField()
    status = serializers.ChoiceField(CampaignStatus.choices)
    total_contacts = serializers.IntegerField()
    sent_count = serializers.IntegerField()
    failed_count = serializers.IntegerField()
    skipped_count = serializers.IntegerField()
    uncertain_count = serializers.IntegerField()
    remaining_count = serializers.IntegerField()
    bounced_count = serializers.IntegerField(
        help_text="Recipients, as the four that follow. One that is sent to once more counts"
        " again when it is refused again."
    )
    complained_count = serializers.IntegerField()
    unsubscribed_count = serializers.IntegerField()
    opened_count = serializers.IntegerField()
    clicked_count = serializers.IntegerField()
    rate_per_second = serializers.FloatField()
    estimated_completion_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)
    last_error = serializers.CharField(allow_blank=True)
    resumes_at = serializers.DateTimeField(
        allow_null=True,
        help_text="When one that waits for a daily quota or its rate limits goes on.",
    )


class CampaignSerializer(CampaignStatusSerializer):
    """A campaign as it was asked for, without its secrets, and how far it is."""

    kind = serializers.CharField()
    subject = serializers.CharField()
    from_email = serializers.CharField()
    reply_to = serializers.CharField(allow_blank=True)
    sender = serializers.CharField(help_text="account, server or default.")
    account_id = serializers.UUIDField(allow_null=True)
    smtp_server = serializers.CharField(allow_blank=True)
    scheduled_at = serializers.DateTimeField(allow_null=True)
    tracking = TrackingSerializer()


def status_values(campaign: Campaign, progress: Progress) -> dict[str, Any]:
    """The fields of CampaignStatusSerializer."""
    return {
        "campaign_id": campaign.campaign_id,
        "campaign_name": campaign.name,
        "status": progress.status,
        "total_contacts": progress.total,
        "sent_count": progress.sent,
        "failed_count": progress.failed,
        "skipped_count": progress.skipped,
        "uncertain_count": progress.uncertain,
        "remaining_count": progress.remaining,
        **{f"{name}_count": getattr(progress.responses, name) for name in RESPONSES},
        "rate_per_second": progress.rate_per_second,
        "estimated_completion_at": progress.estimated_completion_at,
        "created_at": campaign.created_at,
        "updated_at": progress.updated_at,
        "started_at": progress.started_at,
        "completed_at": progress.completed_at,
        "last_error": progress.last_error,
        "resumes_at": progress.resumes_at,
    }


def campaign_values(campaign: Campaign, progress: Progress) -> dict[str, Any]:
    """The fields of CampaignSerializer."""
    return {
        **status_values(campaign, progress),
        "kind": campaign.kind,
        "subject": campaign.subject,
        "from_email": campaign.from_email,
        "reply_to": campaign.reply_to,
        "sender": campaign.sender,
        "account_id": campaign.account_id,
        "smtp_server": campaign.smtp_host,
        "scheduled_at": campaign.scheduled_at,
        "tracking": {"opens": campaign.tracks_opens, "clicks": campaign.tracks_clicks},
    }

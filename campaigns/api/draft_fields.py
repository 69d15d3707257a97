"""What a draft takes and answers: texts, audience, senders, pace, and two subjects."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from campaigns.api.fields import OneLineField, SegmentField
from campaigns.api.pacing import RateLimitSerializer, pacing_of, rate_limit_of
from campaigns.api.progress import CampaignSerializer, campaign_values
from campaigns.api.sending_account import sending_account
from campaigns.api.smtp_campaign import MOST_ADDRESSES, MOST_LISTS, SmtpCampaignSerializer
from campaigns.api.templates import (
    KeptFileSerializer,
)
from campaigns.audience import (
    EMAILS,
    EVERYONE,
    LISTS,
    SEGMENTS,
    Recipients,
)
from campaigns.drafting import (
    MOST_SENDERS,
    Changes,
)
from campaigns.models import Campaign, Measure, SenderShare, SubjectTest, Template
from campaigns.models.sender_share import MOST_WEIGHT
from campaigns.models.subject_test import LONGEST_WAIT_MINUTES
from campaigns.progress import measure_progress
from campaigns.subject_testing import results, subject_test_of
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput

_FIELDS = {
    "campaign_name": "name",
    "subject": "subject",
    "body": "html_body",
    "text_body": "text_body",
    "from_email": "from_email",
    "reply_to": "reply_to",
    "headers": "headers",
}


class AudienceSerializer(StrictMixin, serializers.Serializer[Any]):
    """Whom it is for: all of these together, each person once; nobody where all is empty."""

    everyone = serializers.BooleanField(required=False)
    list_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        max_length=MOST_LISTS,
    )
    segments = serializers.ListField(child=SegmentField(), required=False, max_length=MOST_LISTS)
    emails = serializers.ListField(
        child=serializers.CharField(), required=False, max_length=MOST_ADDRESSES
    )

    def validate_emails(self, value: list[str]) -> list[str]:
        return SmtpCampaignSerializer().validate_emails(value)

    def recipients(self) -> Recipients:
        """What is asked for, once it is valid."""
        given = self.validated_data
        return Recipients(
            lists=tuple(given.get("list_ids", ())),
            segments=tuple(given.get("segments", ())),
            emails=tuple(given.get("emails", ())),
        )


class LeftOutSerializer(serializers.Serializer[Any]):
    """Who was named and gets no message, or no second one.

    `pending` are on a list with double opt-in, and have not confirmed it yet.
    """

    suppressed = serializers.IntegerField()
    unsubscribed = serializers.IntegerField()
    pending = serializers.IntegerField()
    duplicate = serializers.IntegerField()


class AudienceCountSerializer(serializers.Serializer[Any]):
    """How many get a message, and how many are left out."""

    total = serializers.IntegerField()
    left_out = LeftOutSerializer()


class SenderSerializer(StrictMixin, serializers.Serializer[Any]):
    """One of several accounts to send by: it writes to its `weight` of all weights.

    The others take over what its rate limits do not let it send in time, and all of its part
    where it cannot send, for which `trouble` is the reason.
    """

    account_id = serializers.UUIDField(source="account.pk")
    from_email = OneLineField(required=False, allow_blank=True, max_length=400)
    weight = serializers.IntegerField(required=False, min_value=1, max_value=MOST_WEIGHT)
    rate_limit = RateLimitSerializer(required=False, allow_null=True)
    trouble = serializers.CharField(read_only=True)

    def to_representation(self, instance: SenderShare) -> dict[str, Any]:
        return {
            "account_id": str(instance.account_id),
            "from_email": instance.from_email,
            "weight": instance.weight,
            "rate_limit": rate_limit_of(instance),
            "trouble": instance.trouble,
        }


class TriedSubjectSerializer(serializers.Serializer[Any]):
    """What came of one of the two until one was chosen: recipients, not opens."""

    sent = serializers.IntegerField()
    responded = serializers.IntegerField()


class SubjectTestSerializer(StrictMixin, serializers.Serializer[Any]):
    """About `percent` of the recipients get the subject (a) or `subject_b`, half of them each.

    Of a few dozen recipients that is some more or fewer. Where both do as well, the rest get the
    subject (a).

    `wait_minutes` after the last of them the one that more opened, or followed a link of, is
    sent to the rest. That must be counted (`tracking`).
    """

    subject_b = OneLineField(max_length=1000)
    percent = serializers.IntegerField(required=False, min_value=2, max_value=100)
    wait_minutes = serializers.IntegerField(
        required=False, min_value=1, max_value=LONGEST_WAIT_MINUTES
    )
    measure = serializers.ChoiceField(Measure.choices, required=False)
    decides_at = serializers.DateTimeField(read_only=True, allow_null=True)
    winner = serializers.CharField(read_only=True)
    a = TriedSubjectSerializer(read_only=True)
    b = TriedSubjectSerializer(read_only=True)


class DraftSerializer(SmtpCampaignSerializer):
    """A campaign as it is written: all may be missing until it is started.

    A template gives subject, texts and files that are not given beside it. It goes by one
    of a server of its own (smtp_server), an account (account_id), several (senders), or,
    with account_id null, the installation's server.
    """

    subject = OneLineField(max_length=1000, required=False, allow_blank=True)
    template_id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    account_id = serializers.UUIDField(required=False, allow_null=True)
    senders = serializers.ListField(
        child=SenderSerializer(), required=False, max_length=MOST_SENDERS
    )
    audience = AudienceSerializer(required=False)
    subject_test = SubjectTestSerializer(required=False, allow_null=True)
    emails = None  # type: ignore[assignment]  # of the audience here
    list_ids = None  # type: ignore[assignment]
    segment = None  # type: ignore[assignment]

    def changes(self, zone_name: str = "UTC") -> Changes:
        """What is asked for. Raises InvalidInput for what is not the caller's."""
        given, caller = self.validated_data, self.context["caller"]
        audience = None
        if "audience" in given:
            serializer = AudienceSerializer(data=self.initial_data["audience"])
            serializer.is_valid(raise_exception=True)
            audience = serializer.recipients()
        fields = {own: given[name] for name, own in _FIELDS.items() if name in given}
        fields |= {f"tracks_{what}": on for what, on in given.get("tracking", {}).items()}
        files = (
            [each["attachment"] for each in given["attachments"]]
            if "attachments" in given
            else None
        )
        return Changes(
            fields=fields | pacing_of(given, zone_name),
            template=self._template(),
            files=files,
            audience=audience,
            everyone=given.get("audience", {}).get("everyone", False),
            account=sending_account(caller, given.get("account_id")),
            server=self._server(),
            by_default="account_id" in given and given["account_id"] is None,
            senders=self._senders(),
            subject_test=SubjectTest(**given["subject_test"])
            if given.get("subject_test")
            else None,
            without_test="subject_test" in given,
        )

    def _subject_test(self) -> SubjectTest | None:
        given = self.validated_data.get("subject_test")
        return SubjectTest(**given) if given else None

    def _template(self) -> Template | None:
        key = self.validated_data.get("template_id")
        if key is None:
            return None
        found = Template.objects.for_caller(self.context["caller"]).filter(pk=key).first()
        if found is None:
            raise InvalidInput.field("template_id", "There is no such template.")
        return found

    def _senders(self) -> list[SenderShare] | None:
        if "senders" not in self.validated_data:
            return None
        caller = self.context["caller"]
        shares = []
        for each in self.validated_data["senders"]:
            account = sending_account(caller, each["account"]["pk"], "senders")
            assert account is not None
            shares.append(
                SenderShare(
                    account=account,
                    from_email=each.get("from_email", ""),
                    weight=each.get("weight", 1),
                    **pacing_of({"rate_limit": each.get("rate_limit")}),
                )
            )
        return shares


class CampaignDetailSerializer(CampaignSerializer):
    """A campaign with its texts, its audience, its senders and its files."""

    body = serializers.CharField()
    text_body = serializers.CharField()
    headers = serializers.DictField(child=serializers.CharField())
    template_id = serializers.IntegerField(allow_null=True)
    timezone = serializers.CharField()
    rate_limit = RateLimitSerializer()
    failure_limit = serializers.IntegerField(allow_null=True)
    pause_reason = serializers.CharField()
    audience = AudienceSerializer()
    senders = SenderSerializer(many=True)
    subject_test = SubjectTestSerializer(allow_null=True)
    attachments = KeptFileSerializer(many=True)


def detail_values(campaign: Campaign) -> dict[str, Any]:
    """The fields of CampaignDetailSerializer."""
    audience = getattr(campaign, "audience", None)
    rule = audience.rule if audience else {}
    return {
        **campaign_values(campaign, measure_progress(campaign)),
        "body": campaign.html_body,
        "text_body": campaign.text_body,
        "headers": campaign.headers,
        "template_id": campaign.template_id,
        "timezone": campaign.timezone,
        "rate_limit": rate_limit_of(campaign),
        "failure_limit": campaign.failure_limit,
        "pause_reason": campaign.pause_reason,
        "audience": {
            "everyone": bool(rule.get(EVERYONE)),
            "list_ids": rule.get(LISTS, []),
            "segments": rule.get(SEGMENTS, []),
            "emails": rule.get(EMAILS, []),
        },
        "senders": campaign.senders.all(),
        "subject_test": _test_values(campaign),
        "attachments": campaign.attachments.all(),
    }


def _test_values(campaign: Campaign) -> dict[str, Any] | None:
    test = subject_test_of(campaign)
    if test is None:
        return None
    a, b = results(test)
    return {
        "subject_b": test.subject_b,
        "percent": test.percent,
        "wait_minutes": test.wait_minutes,
        "measure": test.measure,
        "decides_at": test.decides_at,
        "winner": test.winner,
        "a": {"sent": a.sent, "responded": a.responded},
        "b": {"sent": b.sent, "responded": b.responded},
    }

"""The outbox, the log of what was sent, and dead letters as JSON."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mailboxes.api.queries import AccountQuery, QueryTimeField
from mailboxes.models import (
    DeadLetter,
    DeliveryReport,
    OutboxMessage,
    OutboxState,
    SendAttempt,
)
from mailhub.api.naming import CamelCaseMixin, MillisecondsField
from mailhub.api.strict import StrictMixin
from mailhub.mail.bounce import Action, Verdict

_LONGEST_ADDRESS = 320


class BouncedSerializer(serializers.Serializer[Any]):
    """A recipient whom a server took it for and it came back from, in that server's words."""

    address = serializers.CharField()
    reason = serializers.CharField()


class DeliveryReportSerializer(CamelCaseMixin, serializers.ModelSerializer[DeliveryReport]):
    """What came back by mail of one recipient.

    `action` is what a server did, "" for what no server reports. `verdict` is what it means:
    hard, soft, unclear, policy, content or sender for a failure, else what it tells of.
    `status` is an enhanced code and `reason` the server's words, "" where it told none.
    `sourceId` is the report's id among the account's messages, null where it lies in another
    account, or is gone.
    """

    verdict = serializers.ChoiceField(choices=[each.value for each in Verdict], read_only=True)
    action = serializers.ChoiceField(choices=[each.value for each in Action], read_only=True)
    received_at = MillisecondsField(read_only=True)
    source_id = serializers.SerializerMethodField()

    class Meta:
        model = DeliveryReport
        fields = (
            "recipient",
            "verdict",
            "action",
            "status",
            "reason",
            "remote_mta",
            "received_at",
            "source_id",
        )

    def get_source_id(self, report: DeliveryReport) -> str | None:
        """Where it can be read."""
        source = report.source
        if source is None or source.account_id != report.outbox.account_id:
            return None
        return str(source.pk)


class SendAttemptSerializer(CamelCaseMixin, serializers.ModelSerializer[SendAttempt]):
    """One try. `code` is 0 where the server said nothing."""

    ended_at = MillisecondsField(read_only=True)
    result = serializers.ChoiceField(
        choices=["sent", "deferred", "failed", "uncertain"], read_only=True
    )

    class Meta:
        model = SendAttempt
        fields = ("number", "ended_at", "result", "code", "reply")


class OutboxMessageSerializer(CamelCaseMixin, serializers.ModelSerializer[OutboxMessage]):
    """`accountId` is null for what goes by the default sender. `reply` is the server's last word.

    `tries` counts since it was queued, or sent again by a person's word.
    """

    id = serializers.CharField(source="pk", read_only=True)
    account_id = serializers.UUIDField(read_only=True, allow_null=True)
    status = serializers.ChoiceField(source="state", choices=OutboxState.choices, read_only=True)
    recipients = serializers.ListField(child=serializers.CharField(), read_only=True)
    accepted = serializers.ListField(child=serializers.CharField(), read_only=True)
    rejected = serializers.SerializerMethodField()
    bounced = serializers.SerializerMethodField()
    send_at = MillisecondsField(read_only=True, allow_null=True)
    next_try_at = MillisecondsField(read_only=True, allow_null=True)
    created_at = MillisecondsField(read_only=True)
    finished_at = MillisecondsField(read_only=True, allow_null=True)

    class Meta:
        model = OutboxMessage
        fields: tuple[str, ...] = (
            "id",
            "account_id",
            "status",
            "message_id",
            "recipients",
            "accepted",
            "rejected",
            "bounced",
            "subject",
            "size",
            "tries",
            "reply",
            "error_code",
            "send_at",
            "next_try_at",
            "created_at",
            "finished_at",
        )

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's.
        sender = serializers.CharField(source="sender", read_only=True)
        return {**super().get_fields(), "from": sender}

    def get_rejected(self, message: OutboxMessage) -> list[dict[str, str]]:
        """Whom no server took it for, and why."""
        return [
            {"address": address, "reason": reason} for address, reason in message.refused.items()
        ]

    @extend_schema_field(BouncedSerializer(many=True))
    def get_bounced(self, message: OutboxMessage) -> list[dict[str, str]]:
        """Whom it came back from, and why."""
        return [
            {"address": address, "reason": reason} for address, reason in message.bounced.items()
        ]


class OutboxDetailSerializer(OutboxMessageSerializer):
    """With every try and every report that came back, the first ones first."""

    attempts = serializers.SerializerMethodField()
    reports = serializers.SerializerMethodField()

    class Meta(OutboxMessageSerializer.Meta):
        fields = (*OutboxMessageSerializer.Meta.fields, "attempts", "reports")

    def get_attempts(self, message: OutboxMessage) -> list[dict[str, Any]]:
        """Every try."""
        rows = message.attempts.order_by("number")
        return [dict(row) for row in SendAttemptSerializer(rows, many=True).data]

    @extend_schema_field(DeliveryReportSerializer(many=True))
    def get_reports(self, message: OutboxMessage) -> list[dict[str, Any]]:
        """What came back by mail."""
        rows = message.reports.select_related("source", "outbox").order_by("received_at", "pk")
        return [dict(row) for row in DeliveryReportSerializer(rows, many=True).data]


class EmailLogSerializer(OutboxMessageSerializer):
    """One message in the log."""


class DeadLetterSerializer(CamelCaseMixin, serializers.ModelSerializer[DeadLetter]):
    """`outboxId` is the message's id in the outbox; `reason` the server's last word."""

    id = serializers.CharField(source="pk", read_only=True)
    outbox_id = serializers.CharField(source="message_id", read_only=True)
    account_id = serializers.UUIDField(source="message.account_id", allow_null=True)
    message_id = serializers.CharField(source="message.message_id")
    recipients = serializers.ListField(source="message.unreached", child=serializers.CharField())
    subject = serializers.CharField(source="message.subject")
    tries = serializers.IntegerField(source="message.tries")
    created_at = MillisecondsField()

    class Meta:
        model = DeadLetter
        fields = (
            "id",
            "outbox_id",
            "account_id",
            "message_id",
            "recipients",
            "subject",
            "reason",
            "tries",
            "created_at",
        )
        read_only_fields = fields


class QueuedSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """A message that is promised: followed at `outbox/{id}`."""

    status = serializers.ChoiceField(choices=["queued", "scheduled"])
    id = serializers.CharField()
    message_id = serializers.CharField()


class OutboxQuery(AccountQuery):
    """Which messages: of an account, in a state, to or from an address, of a time."""

    status = serializers.ChoiceField(choices=OutboxState.choices, required=False)
    address = serializers.CharField(max_length=_LONGEST_ADDRESS, required=False)
    message_id = serializers.CharField(max_length=998, required=False)
    since = QueryTimeField(required=False)
    before = QueryTimeField(required=False)


class SendAgainSerializer(StrictMixin, serializers.Serializer[Any]):
    """`confirm` is needed for an uncertain message, which somebody may have got already."""

    confirm = serializers.ChoiceField(choices=["may_duplicate"], required=False)

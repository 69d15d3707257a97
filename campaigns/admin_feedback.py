"""The admin's view of what campaigns hear by and sign with: SES topics and notices, DKIM keys."""

from __future__ import annotations

from django.contrib import admin
from django.forms import ValidationError

from campaigns.feedback.sns import is_topic
from campaigns.feedback.topics import NO_TOPIC
from campaigns.models import DkimKey, SesNotice, SesTopic
from mailhub.admin_lists import ReadOnlyAdmin
from mailhub.generic_bases import ModelAdmin, ModelForm


class SesTopicForm(ModelForm):
    """Refuses what is no topic."""

    def clean_arn(self) -> str:
        arn: str = self.cleaned_data["arn"]
        if not is_topic(arn):
            raise ValidationError(NO_TOPIC)
        return arn


@admin.register(SesTopic)
class SesTopicAdmin(ModelAdmin):
    """Whose word a tenant takes; a queue is set over the API, with the tenant's own keys."""

    form = SesTopicForm
    list_display = ("arn", "tenant", "confirmed_at", "last_notice_at", "trouble")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("arn",)
    fields = ("tenant", "arn", "queue_url", "confirmed_at", "last_notice_at", "trouble")
    readonly_fields = ("queue_url", "confirmed_at", "last_notice_at", "trouble")


@admin.register(DkimKey)
class DkimKeyAdmin(ReadOnlyAdmin):
    """Which domains are signed for; the private key is nowhere to be seen."""

    list_display = ("domain", "selector", "tenant", "created_at")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("domain",)
    fields = ("tenant", "domain", "selector", "public_key", "created_at")


@admin.register(SesNotice)
class SesNoticeAdmin(ReadOnlyAdmin):
    """What was told lately, and what still waits for the message that it is about."""

    list_display = ("notice_id", "topic", "received_at", "due_at", "tries")
    list_filter = (("due_at", admin.EmptyFieldListFilter), "topic__tenant")
    list_select_related = ("topic",)
    search_fields = ("=notice_id",)
    fields = ("topic", "notice_id", "event", "received_at", "due_at", "tries")
    ordering = ("-pk",)

"""`templates`: messages kept for campaigns to come, looked at and tried before use."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from campaigns.api.fields import (
    MOST_ATTACHMENTS,
    AddressField,
    NewFileSerializer,
    OneLineField,
)
from campaigns.api.sending_account import sending_account
from campaigns.files import read_attachments
from campaigns.keeping_templates import change_template, make_template
from campaigns.models import Campaign, CampaignSender, Template, TemplateAttachment
from campaigns.previewing import (
    MOST_TEST_RECIPIENTS,
    find_person,
    preview_texts,
    send_trial,
)
from contacts.addresses import InvalidAddress, normalise_email
from mailhub.api.strict import StrictMixin
from mailhub.errors import InvalidInput


class KeptFileSerializer(serializers.ModelSerializer[TemplateAttachment]):
    """A file without its content."""

    class Meta:
        model = TemplateAttachment
        fields = ("id", "filename", "content_type", "content_id", "size")
        read_only_fields = fields


class TemplateListSerializer(StrictMixin, serializers.ModelSerializer[Template]):
    """A template without its texts."""

    class Meta:
        model = Template
        fields: tuple[str, ...] = ("id", "name", "subject", "created_at", "updated_at")
        read_only_fields: tuple[str, ...] = ("id", "created_at", "updated_at")
        validators: list[Any] = []


class TemplateSerializer(TemplateListSerializer):
    """A template in the personalisation language. What does not compile is refused, with
    `details.line` and `details.column`.

    `files`, where given, take the place of those that are there. A missing text is derived
    from the HTML when a message is made, and style sheets are written into its elements.
    """

    subject = OneLineField(max_length=1000, required=False, allow_blank=True)
    html = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    files = serializers.ListField(
        child=NewFileSerializer(), required=False, max_length=MOST_ATTACHMENTS, write_only=True
    )
    attachments = KeptFileSerializer(many=True, read_only=True)

    class Meta(TemplateListSerializer.Meta):
        fields = (*TemplateListSerializer.Meta.fields, "html", "text", "files", "attachments")
        read_only_fields = (*TemplateListSerializer.Meta.read_only_fields, "attachments")

    def create(self, validated_data: dict[str, Any]) -> Template:
        files = [each["attachment"] for each in validated_data.pop("files", ())]
        return make_template(self.context["caller"], validated_data, files)

    def update(self, instance: Template, validated_data: dict[str, Any]) -> Template:
        files = validated_data.pop("files", None)
        attachments = None if files is None else [each["attachment"] for each in files]
        return change_template(instance, validated_data, attachments)


class ForSerializer(StrictMixin, serializers.Serializer[Any]):
    """Whom to show it for: the contact of this address, else the newest one."""

    contact = serializers.CharField(required=False, allow_blank=True, max_length=320)


class TextsSerializer(ForSerializer):
    """Texts that are not kept yet."""

    subject = OneLineField(max_length=1000, required=False, allow_blank=True)
    html = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)


class MessagePreviewSerializer(serializers.Serializer[Any]):
    """What this contact would read."""

    contact = serializers.CharField()
    subject = serializers.CharField()
    html = serializers.CharField()
    text = serializers.CharField()


class TrialSerializer(ForSerializer):
    """A trial: to whom it is sent, and as whom it would be written to."""

    to = serializers.ListField(
        child=serializers.CharField(max_length=320),
        allow_empty=False,
        max_length=MOST_TEST_RECIPIENTS,
    )

    def validate_to(self, value: list[str]) -> list[str]:
        try:
            return list(dict.fromkeys(normalise_email(each) for each in value))
        except InvalidAddress as error:
            raise serializers.ValidationError(str(error)) from error


class TemplateTrialSerializer(TrialSerializer):
    """A template has no sender: an account sends, or the installation's own server."""

    account_id = serializers.UUIDField(required=False)
    from_email = AddressField(required=False, max_length=400)


class TriedSerializer(serializers.Serializer[Any]):
    """The server accepted it for all of them."""

    status = serializers.CharField()
    sent_to = serializers.ListField(child=serializers.CharField())


class TemplateViewSet(TenantViewSet[Template]):
    """The tenant's templates, newest first."""

    scope = "campaigns"
    queryset = Template.objects.all()
    serializer_class = TemplateSerializer
    page_key = "templates"
    reading_actions = ("preview", "preview_texts")
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[Template]:
        rows = super().get_queryset()
        return rows.defer("html", "text") if self.action == "list" else rows

    @extend_schema(responses=TemplateListSerializer(many=True))
    def list(self, request: Request) -> Response:
        """The tenant's templates without their texts."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(TemplateListSerializer(page, many=True).data)

    @idempotent()
    def create(self, request: Request) -> Response:
        """Keep a template."""
        return Response(self.get_serializer(self.write(request)).data, status=201)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One template."""
        return Response(self.get_serializer(self.get_object()).data)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some fields."""
        row = self.write(request, self.get_object())
        return Response(self.get_serializer(row).data)

    def destroy(self, request: Request, pk: str) -> Response:
        """Forget it; campaigns that took their texts from it keep them."""
        self.get_object().delete()
        return Response(status=204)

    @extend_schema(request=TextsSerializer, responses=MessagePreviewSerializer)
    @action(detail=False, methods=["post"], url_path="preview", url_name="preview-texts")
    def preview_texts(self, request: Request) -> Response:
        """What a contact would read of these texts. An unknown variable is an error here."""
        serializer = TextsSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self._show(**serializer.validated_data)

    @extend_schema(request=ForSerializer, responses=MessagePreviewSerializer)
    @action(detail=True, methods=["post"])
    def preview(self, request: Request, pk: str) -> Response:
        """What a contact would read of this template."""
        template = self.get_object()
        serializer = ForSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        texts = {"subject": template.subject, "html": template.html, "text": template.text}
        return self._show(**texts, **serializer.validated_data)

    @extend_schema(request=TemplateTrialSerializer, responses=TriedSerializer)
    @action(detail=True, methods=["post"])
    @idempotent(talks_to_servers=True)
    def test(self, request: Request, pk: str) -> Response:
        """Send it to a few addresses now, marked as a test."""
        template = self.get_object()
        serializer = TemplateTrialSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        account = sending_account(self.caller, given.get("account_id"))
        own = account.email_address if account else ""
        if not given.get("from_email", own):
            raise InvalidInput.field("from_email", "Give the sender's address, or an account.")
        draft = Campaign(
            tenant=self.caller.tenant,
            sender=CampaignSender.ACCOUNT if account else CampaignSender.DEFAULT,
            account=account,
            from_email=given.get("from_email", own),
            subject=template.subject,
            html_body=template.html,
            text_body=template.text,
        )
        person = find_person(self.caller, given.get("contact", ""))
        files = read_attachments(template.attachments.select_related("file"))
        send_trial(draft, files, person, given["to"])
        return Response({"status": "success", "sent_to": given["to"]})

    def _show(
        self, *, contact: str = "", subject: str = "", html: str = "", text: str = ""
    ) -> Response:
        person = find_person(self.caller, contact)
        preview = preview_texts(subject=subject, html=html, text=text, person=person)
        return Response(
            {
                "contact": person.email,
                "subject": preview.subject,
                "html": preview.html,
                "text": preview.text,
            }
        )

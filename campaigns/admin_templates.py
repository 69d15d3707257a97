"""The admin's templates: checked when saved, as everywhere."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from campaigns.checking import check_texts
from campaigns.models import Template, TemplateAttachment
from campaigns.variables import say_refusal
from mailhub.admin_lists import BriefPaginator
from mailhub.errors import InvalidInput
from mailhub.generic_bases import ModelAdmin, ModelForm, TabularInline


class TemplateForm(ModelForm):
    """Refuses what does not compile, with line and column."""

    class Meta:
        model = Template
        fields = ("tenant", "name", "subject", "html", "text")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not given.get("html", "").strip() and not given.get("text", "").strip():
            raise forms.ValidationError("Give html, text or both.")
        try:
            check_texts(
                subject=given.get("subject", ""),
                html=given.get("html", ""),
                text=given.get("text", ""),
            )
        except InvalidInput as refusal:
            raise forms.ValidationError(say_refusal(refusal)) from refusal
        return given


class FileInline(TabularInline):
    model = TemplateAttachment
    fields = readonly_fields = ("filename", "content_type", "content_id", "size")
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Template)
class TemplateAdmin(ModelAdmin):
    form = TemplateForm
    paginator = BriefPaginator
    show_full_result_count = False
    list_display = ("name", "subject", "tenant", "created_by", "updated_at")
    list_filter = ("tenant",)
    list_select_related = ("tenant", "created_by")
    search_fields = ("name", "subject")
    ordering = ("-pk",)
    autocomplete_fields = ("tenant",)
    readonly_fields = ("created_by", "created_at", "updated_at")
    fields = (*TemplateForm.Meta.fields, *readonly_fields)
    inlines = (FileInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and (match.url_name or "").endswith("changelist")
        return rows.defer("html", "text") if is_list else rows

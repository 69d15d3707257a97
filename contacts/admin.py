"""The admin's pages of contacts, made for tables of millions: nothing counts a whole one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import Tenant
from contacts.admin_forms import ContactForm, ContactListForm, SegmentForm, SuppressionForm
from contacts.csv_export import export_contacts
from contacts.listing import segments_naming
from contacts.models import (
    Contact,
    ContactList,
    ImportJob,
    ImportRowError,
    ListMember,
    Segment,
    Suppression,
)
from contacts.searching import LONGEST_SEARCH
from contacts.suppressing import suppress_contacts
from mailhub.admin_deleting import DeletesMany
from mailhub.admin_lists import BriefPaginator
from mailhub.generic_bases import ModelAdmin
from mailhub.templatetags.pages import count

_MOST_TENANTS_NAMED = 200


class LargeTableAdmin(ModelAdmin):
    paginator = BriefPaginator
    show_full_result_count = False
    list_select_related: ClassVar[tuple[str, ...]] = ("tenant",)
    list_filter: ClassVar[tuple[str, ...]] = ("tenant",)
    ordering = ("-pk",)

    def within_tenants(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The same rows, each tenant named: the indexes begin with it."""
        keys = list(Tenant.objects.values_list("pk", flat=True)[: _MOST_TENANTS_NAMED + 1])
        return rows if len(keys) > _MOST_TENANTS_NAMED else rows.filter(tenant_id__in=keys)


@admin.register(Contact)
class ContactAdmin(DeletesMany, LargeTableAdmin):
    form = ContactForm
    list_display = (
        "email",
        "first_name",
        "last_name",
        "company",
        "status",
        "tenant",
        "email_count",
        "last_email_sent",
    )
    list_filter = ("status", "tenant")
    search_fields = ("email",)
    search_help_text = "Beginnings of the address, the first or the last name"
    autocomplete_fields = ("tenant",)
    readonly_fields = (
        "email_count",
        "last_email_sent",
        "last_campaign",
        "created_at",
        "updated_at",
    )
    actions = ("export_as_csv", "suppress", "delete_selected")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Contact], search_term: str
    ) -> tuple[QuerySet[Contact], bool]:
        if not search_term.strip():
            return queryset, False
        found = queryset & Contact.objects.search(search_term[:LONGEST_SEARCH])
        return self.within_tenants(found), False

    @admin.action(description="Export the chosen contacts as CSV", permissions=["view"])
    def export_as_csv(
        self, request: HttpRequest, queryset: QuerySet[Contact]
    ) -> StreamingHttpResponse:
        return StreamingHttpResponse(
            export_contacts(Contact.objects.filter(pk__in=queryset.values("pk"))),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="contacts.csv"'},
        )

    @admin.action(description="Suppress the chosen contacts", permissions=["change"])
    def suppress(self, request: HttpRequest, queryset: QuerySet[Contact]) -> None:
        suppress_contacts(queryset)
        number = count(queryset.count(), "address,addresses")
        messages.success(request, f"No campaign writes to {number} any more that were chosen.")


@admin.register(Suppression)
class SuppressionAdmin(DeletesMany, LargeTableAdmin):
    form = SuppressionForm
    actions = ("delete_selected",)
    list_display = ("email", "reason", "tenant", "created_at")
    list_filter = ("reason", "tenant")
    search_fields = ("email",)
    search_help_text = "The beginning of the address"
    autocomplete_fields = ("tenant",)
    readonly_fields = ("created_at",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Suppression], search_term: str
    ) -> tuple[QuerySet[Suppression], bool]:
        start = search_term.strip().lower()
        if not start or "\0" in start:
            return queryset, False
        return self.within_tenants(queryset.filter(email__prefix=start)), False

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        Suppression.objects.filter(pk=obj.pk).lift()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        Suppression.objects.filter(pk__in=list(queryset.values_list("pk", flat=True))).lift()


@admin.register(ContactList)
class ContactListAdmin(LargeTableAdmin):
    form = ContactListForm
    list_display = ("name", "opt_in", "tenant", "members", "trouble", "created_at")
    list_filter = ("opt_in", "tenant")
    search_fields = ("name",)
    fields = (
        "tenant",
        "name",
        "description",
        "opt_in",
        "from_email",
        "account",
        "members",
        "trouble",
        "created_by",
        "created_at",
        "updated_at",
    )
    autocomplete_fields = ("tenant", "account")
    readonly_fields = ("members", "trouble", "created_by", "created_at", "updated_at")

    def get_deleted_objects(
        self, objs: Sequence[ContactList] | QuerySet[ContactList], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """A list that a segment asks for is protected by it."""
        found, counts, missing, protected = super().get_deleted_objects(objs, request)
        named = {segment.pk: segment for each in objs for segment in segments_naming(each)}
        words = [f"Segment: {segment}" for segment in named.values()]
        return found, counts, missing, [*protected, *words]

    @admin.display(description="members")
    def members(self, contact_list: ContactList) -> SafeString:
        """A way to who is on the list; a million are not counted for it."""
        address = reverse("admin:contacts_listmember_changelist")
        return format_html('<a href="{}?list__id__exact={}">Show</a>', address, contact_list.pk)


@admin.register(Segment)
class SegmentAdmin(LargeTableAdmin):
    form = SegmentForm
    list_display = ("name", "description", "tenant", "created_by", "updated_at")
    list_select_related = ("tenant", "created_by")
    search_fields = ("name",)
    fields = ("tenant", "name", "description", "rule", "created_by", "created_at", "updated_at")
    autocomplete_fields = ("tenant",)
    readonly_fields = ("created_by", "created_at", "updated_at")


class LookedAtOnly(LargeTableAdmin):
    """Made by the program; an operator looks."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ImportJob)
class ImportJobAdmin(LookedAtOnly):
    list_display = (
        "id",
        "filename",
        "tenant",
        "created_by",
        "status",
        "bar",
        "total",
        "imported",
        "updated",
        "failed",
        "created_at",
        "completed_at",
    )
    list_filter = ("status", "tenant")
    list_select_related = ("tenant", "created_by")
    search_fields = ("filename",)
    date_hierarchy = "created_at"
    actions = ("cancel",)
    fields = (
        "filename",
        "tenant",
        "created_by",
        "status",
        "error",
        "bar",
        "total",
        "imported",
        "updated",
        "failed",
        "bad_rows",
        "columns",
        "targets",
        "encoding",
        "delimiter",
        "size",
        "created_at",
        "started_at",
        "completed_at",
    )
    readonly_fields = fields

    @admin.display(description="progress")
    def bar(self, job: ImportJob) -> SafeString:
        """A bar with its words for whoever cannot see it."""
        return format_html(
            '<progress max="100" value="{}" title="{} of {} rows">{} %</progress>',
            job.percent,
            job.done,
            "?" if job.total is None else job.total,
            job.percent,
        )

    @admin.display(description="bad rows")
    def bad_rows(self, job: ImportJob) -> SafeString | str:
        """A way to the rows that did not become contacts."""
        if not job.failed:
            return "–"
        address = reverse("admin:contacts_importrowerror_changelist")
        return format_html(
            '<a href="{}?job__id__exact={}">{} rows</a>', address, job.pk, job.failed
        )

    @admin.action(description="Cancel the chosen imports", permissions=["delete"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[ImportJob]) -> None:
        stopped = sum(job.cancel() for job in queryset)
        messages.success(request, f"{stopped} imports are cancelled; what was imported stays.")


@admin.register(ImportRowError)
class ImportRowErrorAdmin(LookedAtOnly):
    list_display = ("line", "reason", "text", "job")
    list_filter = ()
    list_select_related = ("job",)
    ordering = ("pk",)
    fields = ("job", "line", "reason", "text")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "job__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ListMember)
class ListMemberAdmin(DeletesMany, LookedAtOnly):
    actions = ("delete_selected",)
    list_display = ("contact", "list", "state", "added_at", "asked_at", "confirmed_at", "left_at")
    list_filter = ("state",)
    list_select_related = ("contact", "list")
    fields = list_display
    search_fields = ("contact__email",)
    search_help_text = "The beginning of the address"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ListMember], search_term: str
    ) -> tuple[QuerySet[ListMember], bool]:
        start = search_term.strip().lower()
        if not start or "\0" in start:
            return queryset, False
        found = self.within_tenants(Contact.objects.filter(email__prefix=start))
        return queryset.filter(contact__in=found), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "list__id__exact" or super().lookup_allowed(lookup, value, request)

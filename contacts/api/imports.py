"""`contacts/import` and `contacts/imports`: files of contacts, and what became of their rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.viewsets import TenantViewSet
from accounts.idempotency import idempotent
from contacts.api.answers import CsvMixin, as_csv_file, wants_csv
from contacts.csv_export import export_row_errors
from contacts.csv_import import start_import
from contacts.models import ImportJob, ImportRowError, ImportStatus
from mailhub.api.strict import StrictMixin
from mailhub.errors import Conflict


@extend_schema_field(
    {"type": "object", "additionalProperties": {"type": "string", "nullable": True}}
)
class MappingField(serializers.Field[dict[str, str | None], Any, Any, Any]):
    """A JSON object from headings to targets; a form sends it as text."""

    default_error_messages = {
        "invalid": "Give a JSON object from the file's headings to fields, as "
        '{{"E-mail": "email", "Town": "attributes.city", "Notes": null}}.'
    }

    def to_internal_value(self, data: Any) -> dict[str, str | None]:
        try:
            value = json.loads(data) if isinstance(data, str) else data
        except (ValueError, RecursionError):
            self.fail("invalid")
        if not isinstance(value, Mapping) or not all(
            target is None or isinstance(target, str) for target in value.values()
        ):
            self.fail("invalid")
        return dict(value)

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "array", "items": {"type": "integer"}})
class ListIdsField(serializers.Field[list[int], Any, Any, Any]):
    """The lists that the contacts are put on; a form sends them as JSON text, `[3, 5]`."""

    default_error_messages = {"invalid": "Give a JSON list of the ids of lists, as [3, 5]."}

    def to_internal_value(self, data: Any) -> list[int]:
        try:
            value = json.loads(data) if isinstance(data, str) else data
        except (ValueError, RecursionError):
            self.fail("invalid")
        value = [value] if isinstance(value, int) else value
        if not isinstance(value, list) or not all(map(_is_key, value)):
            self.fail("invalid")
        return value

    def to_representation(self, value: Any) -> Any:
        return value


def _is_key(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


class ImportRequestSerializer(StrictMixin, serializers.Serializer[Any]):
    """A CSV file or a workbook and, where its headings do not say it, what its columns are.

    `mapping` gives a column, by its heading, to `email`, `first_name`, `last_name`, `company`,
    `status`, `attributes` (a JSON object) or `attributes.<key>`; null leaves it out. A column
    that it does not name is recognised by its heading, or becomes an attribute.

    `status` keeps people away whom another product knows as unsubscribed: subscribed,
    unsubscribed, bounced, complained, and usual words for them such as active, opted out,
    cleaned, disabled, pending and spam. It never subscribes a contact anew who has left. A
    column headed Status is always taken for it, unless `mapping` gives it to something else; a
    row whose word is not known is a bad row. Of several such columns the word counts that
    keeps the contact away.
    """

    file = serializers.FileField(allow_empty_file=True)
    mapping = MappingField(required=False)
    list_ids = ListIdsField(required=False)


class ImportColumnSerializer(serializers.Serializer[Any]):
    """A heading of the file, and what its column becomes; "" where it is left out."""

    heading = serializers.CharField()
    target = serializers.CharField()


class ImportSerializer(serializers.ModelSerializer[ImportJob]):
    """How far an import is. `total` is null until the rows of a large file are counted.

    `workbook_percent` is how much of a workbook is read, which comes before its rows are
    imported; null for a file that is text. `columns` say what became of each; empty until
    they are known.
    """

    workbook_percent = serializers.IntegerField(read_only=True, allow_null=True)
    percent = serializers.IntegerField(read_only=True)
    list_ids = serializers.ListField(child=serializers.IntegerField(), read_only=True)
    columns = serializers.SerializerMethodField()

    class Meta:
        model = ImportJob
        fields = (
            "id",
            "status",
            "total",
            "imported",
            "updated",
            "failed",
            "percent",
            "workbook_percent",
            "filename",
            "columns",
            "list_ids",
            "error",
            "created_at",
            "started_at",
            "completed_at",
        )
        read_only_fields = fields

    @extend_schema_field(ImportColumnSerializer(many=True))
    def get_columns(self, job: ImportJob) -> list[dict[str, str]]:
        pairs = zip(job.columns, job.targets, strict=False)
        return [{"heading": heading, "target": target} for heading, target in pairs]


class ImportRowErrorSerializer(serializers.ModelSerializer[ImportRowError]):
    """A row that did not become a contact."""

    class Meta:
        model = ImportRowError
        fields = ("line", "reason", "text")
        read_only_fields = fields


class ImportViewSet(CsvMixin, TenantViewSet[ImportJob]):
    """Imports of the tenant, the newest first."""

    scope = "contacts"
    page_key = "imports"
    queryset = ImportJob.objects.all()
    serializer_class = ImportSerializer
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> QuerySet[ImportJob]:
        return super().get_queryset().exclude(status=ImportStatus.RECEIVING)

    def list(self, request: Request) -> Response:
        """All imports."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        request={"multipart/form-data": ImportRequestSerializer},
        responses={202: ImportSerializer},
        operation_id="contacts_import",
    )
    @idempotent(talks_to_servers=True)
    def start(self, request: Request) -> Response:
        """Store the file and import it in the background.

        The file's size forbids one transaction for all of it, so the idempotency key is
        committed before the file is.
        """
        serializer = ImportRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        file: UploadedFile[bytes] = given["file"]
        job = start_import(self.caller, file, given.get("mapping"), given.get("list_ids", ()))
        return Response(ImportSerializer(job).data, status=202)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One import with its counters."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=None, responses=ImportSerializer)
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it; contacts that are imported stay. 409 where it has ended."""
        job = self.get_object()
        if not job.cancel():
            raise Conflict("The import has ended already.")
        return Response(self.get_serializer(job).data)


class ImportErrorViewSet(CsvMixin, TenantViewSet[ImportRowError]):
    """Bad rows of one import, in the order of the file."""

    scope = "contacts"
    page_key = "errors"
    page_ordering = "pk"
    queryset = ImportRowError.objects.all()
    serializer_class = ImportRowErrorSerializer

    @extend_schema(
        responses={
            (200, "application/json"): ImportRowErrorSerializer(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
        }
    )
    def list(self, request: Request, pk: int) -> Response | StreamingHttpResponse:
        """Each with its line, its reason and the row as it stood; all at once as text/csv."""
        jobs = ImportJob.objects.for_caller(self.caller).received()
        job = get_object_or_404(jobs, pk=pk)
        if wants_csv(request):
            return as_csv_file(f"import-{job.pk}-errors.csv", export_row_errors(job))
        page = self.paginate_queryset(self.get_queryset().filter(job=job))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        responses={(200, "text/csv"): OpenApiTypes.STR}, operation_id="contacts_imports_errors_csv"
    )
    def download(self, request: Request, pk: int) -> StreamingHttpResponse:
        """The bad rows as a CSV file."""
        jobs = ImportJob.objects.for_caller(self.caller).received()
        job = get_object_or_404(jobs, pk=pk)
        return as_csv_file(f"import-{job.pk}-errors.csv", export_row_errors(job))

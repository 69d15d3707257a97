"""Pages about contacts: the table, an import from its file to its report, bad rows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, page
from contacts.columns import FIELDS, attribute_key, map_columns
from contacts.csv_export import export_row_errors
from contacts.csv_import import read_heading, start_import
from contacts.models import Contact, ContactList, ContactStatus, ImportJob, ImportRowError, Segment
from contacts.searching import LONGEST_SEARCH, search_contacts
from mailhub.api.pagination import page_after, write_cursor
from mailhub.errors import InvalidInput
from mailhub.numbers import whole_number

CONTACTS_A_PAGE = 50
IMPORTS_SHOWN = 10
BAD_ROWS_SHOWN = 50
SAMPLE_ROWS = 5
SHOWN_OF_A_VALUE = 60


@require_safe
@page(scope="contacts")
def list_contacts(request: PageRequest) -> HttpResponse:
    """The tenant's contacts, newest first; `?q=` searches, `?status=` narrows."""
    text = request.GET.get("q", "").strip()[:LONGEST_SEARCH]
    wanted = request.GET.get("status", "")
    if wanted not in ContactStatus.values:
        wanted = ""
    segment = request.GET.get("segment_id", "")
    contacts = search_contacts(request.caller, text, wanted, segment_id=segment)
    given = {"q": text, "status": wanted, "segment_id": segment}
    narrowed = {name: value for name, value in given.items() if value}
    cursor = request.GET.get("cursor")
    rows = page_after(contacts, "-pk", cursor, CONTACTS_A_PAGE + 1)
    older = ""
    if len(rows) > CONTACTS_A_PAGE:
        rows = rows[:CONTACTS_A_PAGE]
        older = urlencode({**narrowed, "cursor": write_cursor("-pk", rows[-1].pk, rows[-1].pk)})
    return render(
        request,
        "contacts/list.html",
        {
            "rows": rows,
            "text": text,
            "wanted": wanted,
            "segment": _segment(request, segment),
            "statuses": ContactStatus.values,
            "older": older,
            "is_first_page": not cursor,
            "first_page_query": urlencode(narrowed),
            "has_contacts": bool(rows) or Contact.objects.for_caller(request.caller).exists(),
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def import_contacts(request: PageRequest) -> HttpResponse:
    """Take a file and start its import, with the columns as they were chosen."""
    problem = ""
    if request.method == "POST":
        file = request.FILES.get("file")
        try:
            if not isinstance(file, UploadedFile):
                raise InvalidInput.field("file", "Choose a file first.")
            job = start_import(
                request.caller, file, _chosen_mapping(request), _chosen_lists(request)
            )
            return redirect("contact-import", job.pk)
        except InvalidInput as refusal:
            problem = refusal.message
    recent = ImportJob.objects.for_caller(request.caller).received().order_by("-pk")
    return render(
        request,
        "contacts/import.html",
        {
            "problem": problem,
            "recent": recent[:IMPORTS_SHOWN],
            "lists": ContactList.objects.for_caller(request.caller).order_by("name"),
            "chosen_lists": _chosen_lists(request),
            "limit": settings.MAILHUB_UPLOAD_LIMIT,
        },
        status=400 if problem else 200,
    )


@require_POST
@page(scope="contacts")
def preview_import(request: PageRequest) -> HttpResponse:
    """The first rows of a file, or of the beginning of one, each column with its target."""
    file = request.FILES.get("file")
    try:
        if not isinstance(file, UploadedFile):
            raise InvalidInput.field("file", "Choose a file first.")
        heading = read_heading(file)
    except InvalidInput as refusal:
        return render(request, "contacts/preview.html", {"problem": refusal.message})
    rows = [_fit(row, len(heading.columns)) for row in heading.rows[:SAMPLE_ROWS]]
    columns = _proposed_columns(heading.columns)
    for position, column in enumerate(columns):
        column["values"] = [row[position][:SHOWN_OF_A_VALUE] for row in rows]
    context = {
        "columns": columns,
        "fields": [field for field in FIELDS if field != "attributes"],
        "has_email": any(column["target"] == "email" for column in columns),
    }
    return render(request, "contacts/preview.html", context)


@require_safe
@page(scope="contacts")
def show_import(request: PageRequest, import_id: int) -> HttpResponse:
    """How an import goes, and in the end what came of it."""
    return render(request, "contacts/import_job.html", _import_context(request, import_id))


@require_safe
@page(scope="contacts")
def show_import_measures(request: PageRequest, import_id: int) -> HttpResponse:
    """The moving part of the page, asked for every 2 s.

    The request says what is shown: another status is answered with the whole, and bad rows
    come along only where there are new ones, so that a person may read them in peace.
    """
    context = _import_context(request, import_id)
    job: ImportJob = context["job"]
    if request.GET.get("status") != job.status:
        response = render(request, "contacts/import_whole.html", context)
        response["HX-Retarget"] = "#import"
        return response
    context["brings_bad_rows"] = request.GET.get("failed") != str(job.failed)
    return render(request, "contacts/import_measures.html", context)


@require_POST
@page(scope="contacts")
def cancel_import(request: PageRequest, import_id: int) -> HttpResponse:
    """Stop an import; the contacts that are in stay."""
    job = _find_import(request, import_id)
    if not job.cancel():
        messages.error(request, "The import had ended already.")
    return redirect("contact-import", import_id)


@require_safe
@page(scope="contacts")
def download_bad_rows(request: PageRequest, import_id: int) -> StreamingHttpResponse:
    """All bad rows as CSV: line, reason, and the row as it stood."""
    job = _find_import(request, import_id)
    response = StreamingHttpResponse(export_row_errors(job), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="bad-rows-{job.pk}.csv"'
    return response


def _find_import(request: PageRequest, import_id: int) -> ImportJob:
    return get_object_or_404(ImportJob.objects.for_caller(request.caller).received(), pk=import_id)


def _import_context(request: PageRequest, import_id: int) -> dict[str, Any]:
    job = _find_import(request, import_id)
    bad_rows = ImportRowError.objects.filter(job=job).order_by("pk")[:BAD_ROWS_SHOWN]
    meanings = zip(job.columns, job.targets, strict=False)
    return {"job": job, "bad_rows": bad_rows, "meanings": list(meanings)}


def _segment(request: PageRequest, key: str) -> Segment | None:
    return Segment.objects.for_caller(request.caller).filter(pk=key).first() if key else None


def _chosen_lists(request: PageRequest) -> list[int]:
    keys = map(whole_number, request.POST.getlist("list"))
    return [key for key in keys if key is not None]


def _chosen_mapping(request: PageRequest) -> dict[str, str | None] | None:
    """What the form says of each column; None where its columns were not shown."""
    columns, targets = request.POST.getlist("column"), request.POST.getlist("target")
    return dict(zip(columns, (target or None for target in targets), strict=False)) or None


def _proposed_columns(columns: list[str]) -> list[dict[str, Any]]:
    """Each column with what it would become, and the attribute that it could be."""
    try:
        targets = map_columns(columns)
    except InvalidInput:
        # As if the address were elsewhere: a person will say which column holds it.
        targets = map_columns([*columns, "email"])[: len(columns)]
    return [
        {
            "heading": name,
            "target": target,
            "becomes_attribute": target.startswith("attributes."),
            "attribute": target
            if target.startswith("attributes.")
            else f"attributes.{attribute_key(name) or f'column_{position + 1}'}",
            "is_first": name not in columns[:position],
        }
        for position, (name, target) in enumerate(zip(columns, targets, strict=True))
    ]


def _fit(row: list[str], width: int) -> list[str]:
    return (row + [""] * width)[:width]

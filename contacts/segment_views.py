"""Pages of segments: a rule is made of rows, and counted while it is edited."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, page
from contacts.models import Contact, ContactList, Segment
from contacts.segments.activity import activity_kinds
from contacts.segments.compiling import ListGone
from contacts.segments.fields import ATTRIBUTE_PREFIX, FIELDS, Operator
from contacts.segments.keeping import Preview, change_segment, check_rule, preview
from contacts.segments.language import read_rule
from contacts.segments.rows import ACTIVITY, LIST, Row, rows_of, rule_of
from mailhub.errors import InvalidInput, MailhubError

_MOST_ROWS = 30
_ATTRIBUTES_LEARNT_FROM = 200
_MOST_ATTRIBUTES = 100
_SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """What the form holds; `text` is the rule as JSON where rows cannot show it."""

    name: str
    description: str
    mode: str
    rows: list[Row]
    text: str = ""

    @property
    def rule(self) -> Any:
        """Raises InvalidInput for text that is no JSON."""
        if not self.text:
            return rule_of(self.mode, self.rows)
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            raise InvalidInput.field("rule", "The rule is not JSON.") from None


@require_safe
@page(scope="contacts")
def show_segments(request: PageRequest) -> HttpResponse:
    """The tenant's segments by name; each is counted after the page is there."""
    rows = Segment.objects.for_caller(request.caller).order_by("name")
    return render(request, "contacts/segments/all.html", {"rows": rows})


@require_safe
@page(scope="contacts")
def count_kept(request: PageRequest, segment_id: int) -> HttpResponse:
    """How many a segment means now."""
    rule = read_rule(_find(request, segment_id).rule)
    try:
        context: dict[str, object] = {"count": preview(request.caller, rule, 0).count}
    except ListGone as refusal:
        context = {"problem": refusal.message}
    return render(request, "contacts/segments/number.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def add_segment(request: PageRequest) -> HttpResponse:
    """A new segment."""
    made = Segment(tenant=request.caller.tenant, created_by=request.caller.user)
    return _ask(request, made, Draft("", "", "all", [Row()]))


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def edit_segment(request: PageRequest, segment_id: int) -> HttpResponse:
    """Another rule, another name."""
    segment = _find(request, segment_id)
    shown = rows_of(segment.rule)
    mode, rows = shown or ("all", [])
    text = "" if shown else json.dumps(segment.rule, indent=2, ensure_ascii=False)
    return _ask(request, segment, Draft(segment.name, segment.description, mode, rows, text))


def _ask(request: PageRequest, segment: Segment, draft: Draft) -> HttpResponse:
    problem = ""
    found: Preview | None = None
    if request.method == "POST":
        draft = _read(request)
        if "more" in request.POST:
            draft.rows.append(Row())
        else:
            try:
                if "count" not in request.POST:
                    return _keep(request, segment, draft)
                found = preview(request.caller, check_rule(request.caller, draft.rule), _SAMPLE)
            except MailhubError as refusal:
                problem = refusal.message
    context = {
        "segment": segment,
        "draft": draft,
        "rows": list(enumerate(draft.rows, start=1)),
        "problem": problem,
        "found": found,
        **_choices(request, draft),
    }
    status = 400 if problem else 200
    return render(request, "contacts/segments/form.html", context, status=status)


def _keep(request: PageRequest, segment: Segment, draft: Draft) -> HttpResponse:
    if not draft.name:
        raise InvalidInput.field("name", "Give the segment a name.")
    given = {"name": draft.name, "description": draft.description, "rule": draft.rule}
    change_segment(request.caller, segment, given)
    messages.success(request, f"The segment {segment.name} is kept.")
    return redirect("segments")


@require_POST
@page(scope="contacts")
def count_draft(request: PageRequest) -> HttpResponse:
    """How many the rule in the form means, and a few of them; asked while it is typed."""
    context: dict[str, Any] = {}
    try:
        rule = check_rule(request.caller, _read(request).rule)
        context["found"] = preview(request.caller, rule, _SAMPLE)
    except InvalidInput as refusal:
        context["unfinished"] = refusal.message
    return render(request, "contacts/segments/count.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def delete_segment(request: PageRequest, segment_id: int) -> HttpResponse:
    """Ask once, then forget the rule."""
    segment = _find(request, segment_id)
    if request.method == "POST":
        segment.delete()
        messages.success(request, f"The segment {segment.name} is deleted.")
        return redirect("segments")
    return render(request, "contacts/segments/delete.html", {"segment": segment})


def _find(request: PageRequest, segment_id: int) -> Segment:
    return get_object_or_404(Segment.objects.for_caller(request.caller), pk=segment_id)


def _read(request: PageRequest) -> Draft:
    given = request.POST
    columns = (given.getlist(name)[:_MOST_ROWS] for name in ("what", "operator", "value"))
    rows = [Row(*texts) for texts in zip(*columns, strict=False)]
    return Draft(
        given.get("name", "").strip()[:100],
        given.get("description", "").strip()[:500],
        given.get("mode", "all"),
        rows,
        given.get("rule", ""),
    )


def _choices(request: PageRequest, draft: Draft) -> dict[str, Any]:
    """What can be asked: what the newest contacts hold, and what the draft names already."""
    newest = Contact.objects.for_caller(request.caller).order_by("-pk")
    keys = {
        f"{ATTRIBUTE_PREFIX}{key}"
        for attributes in newest.values_list("attributes", flat=True)[:_ATTRIBUTES_LEARNT_FROM]
        for key in attributes
    }
    named = {row.what for row in draft.rows if row.what.startswith(ATTRIBUTE_PREFIX)}
    attributes = sorted(keys)[:_MOST_ATTRIBUTES]
    lists = ContactList.objects.for_caller(request.caller).order_by("name")
    return {
        "fields": list(FIELDS),
        "attributes": sorted({*attributes, *named}),
        "lists": [(f"{LIST}{each.pk}", each.name) for each in lists],
        "activities": [
            (f"{ACTIVITY}{each.name}", each.words) for each in activity_kinds().values()
        ],
        "operators": [each.value for each in Operator],
    }

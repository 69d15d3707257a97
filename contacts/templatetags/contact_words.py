"""Contacts and their imports in words."""

from __future__ import annotations

from datetime import timedelta

from django import template
from django.utils import timezone

from contacts.holdings import Happening
from contacts.models import ImportJob, ImportStatus
from contacts.models.import_job import UNFINISHED

register = template.Library()
_TENTH = 10
_FIELDS = {
    "": "Left out",
    "email": "Address",
    "first_name": "First name",
    "last_name": "Last name",
    "company": "Company",
    "status": "Status",
    "attributes": "All attributes (JSON)",
}


@register.filter
def field_words(target: str) -> str:
    """What a column becomes."""
    return _FIELDS.get(target, f"Attribute {target.removeprefix('attributes.')}")


_HAPPENINGS = {
    "added": "Became a contact",
    "list_added": "Put on {list}",
    "list_asked": "Asked whether to be on {list}",
    "list_confirmed": "Said yes to {list}",
    "list_left": "Left {list}",
    "suppressed": "Suppressed: {reason}",
    "delivery": "{campaign_name}: {state}",
    "bounce": "{campaign_name}: came back ({verdict})",
    "complaint": "{campaign_name}: called spam",
}


@register.filter
def question_words(name: str) -> str:
    """A field or an operator of a rule, as a person says it."""
    return name.removeprefix("attributes.").replace("_", " ")


@register.filter
def happening_words(happening: Happening) -> str:
    """One line of a contact's history."""
    return _HAPPENINGS[happening.kind].format(**happening.details)


@register.filter
def is_unfinished(job: ImportJob) -> bool:
    """Whether the import waits or runs."""
    return job.status in UNFINISHED


@register.filter
def imported_or_updated(job: ImportJob) -> int:
    """How many rows became contacts."""
    return job.imported + job.updated


@register.filter
def is_being_read(job: ImportJob) -> bool:
    """Whether rows of a workbook are still to be read."""
    return job.workbook_percent not in (None, 100)


@register.filter
def import_words(job: ImportJob) -> str:
    """What the bar shows."""
    if is_unfinished(job) and is_being_read(job):
        return f"{job.workbook_percent} percent of the workbook read"
    total = f" of {job.total:,}" if job.total is not None else ""
    words = f"{job.done:,}{total} rows done: {job.imported:,} new, {job.updated:,} updated"
    return f"{words}, {job.failed:,} bad" if job.failed else words


@register.filter
def import_announcement(job: ImportJob) -> str:
    """What is said aloud; it changes with every tenth, not with every row."""
    match job.status:
        case ImportStatus.PENDING:
            return "About to start"
        case ImportStatus.IN_PROGRESS if is_being_read(job):
            read = job.workbook_percent or 0
            return f"Reading the workbook, {read // _TENTH * _TENTH} percent done"
        case ImportStatus.IN_PROGRESS:
            return f"Importing, {job.percent // _TENTH * _TENTH} percent done"
        case _:
            return f"{ImportStatus(job.status).label}: {import_words(job)}"


@register.filter
def import_took(job: ImportJob) -> timedelta | None:
    """From its start to its end; None where one of them is missing."""
    if job.started_at is None or job.completed_at is None:
        return None
    return job.completed_at - job.started_at


@register.filter
def import_time_left(job: ImportJob) -> timedelta | None:
    """How long the rest takes at the pace so far; None where that is not known."""
    if job.started_at is None or not job.done or job.total is None:
        return None
    return (timezone.now() - job.started_at) / job.done * max(0, job.total - job.done)

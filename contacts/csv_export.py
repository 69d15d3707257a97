"""Contacts and bad rows as CSV, a page of rows at a time: memory and transactions stay small.

Values that a spreadsheet would compute are guarded (`contacts.formulas`); the import takes
the guard off again, so that an exported file comes back as it went.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from contacts.columns import EXPORT_COLUMNS
from contacts.csv_lines import csv_line
from contacts.formulas import guard
from contacts.models import Contact, ImportJob
from contacts.models.contact import ContactQuerySet

_ROWS_A_PAGE = 1000


def export_contacts(contacts: ContactQuerySet) -> Iterator[str]:
    """Lines of CSV, the heading first, oldest contact first."""
    yield csv_line(EXPORT_COLUMNS)
    last = 0
    while page := list(contacts.filter(pk__gt=last).order_by("pk")[:_ROWS_A_PAGE]):
        last = page[-1].pk
        yield "".join(csv_line(_values(contact)) for contact in page)


def _values(contact: Contact) -> list[str]:
    texts = {
        "attributes": json.dumps(contact.attributes, ensure_ascii=False)
        if contact.attributes
        else "",
        "created_at": _moment(contact.created_at),
        "last_email_sent": _moment(contact.last_email_sent),
        "email_count": str(contact.email_count),
    }
    return [
        guard(texts[name] if name in texts else str(getattr(contact, name)))
        for name in EXPORT_COLUMNS
    ]


def _moment(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def export_row_errors(job: ImportJob) -> Iterator[str]:
    """The bad rows of an import as lines of CSV: line, reason, and the row as it stood."""
    yield csv_line(("line", "reason", "row"))
    last = 0
    while page := list(job.row_errors.filter(pk__gt=last).order_by("pk")[:_ROWS_A_PAGE]):
        last = page[-1].pk
        yield "".join(csv_line((row.line, guard(row.reason), guard(row.text))) for row in page)

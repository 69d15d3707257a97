"""The recipients of a campaign one by one: narrowed by what became of them, and as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from campaigns.models import REMAINING, RESPONSES, Campaign, Delivery, DeliveryState
from campaigns.models.delivery import DeliveryQuerySet
from contacts.csv_lines import csv_line
from contacts.formulas import guard

# What a person may ask to see; the first is everybody.
SHOWN = (
    "",
    DeliveryState.SENT,
    DeliveryState.FAILED,
    DeliveryState.SKIPPED,
    DeliveryState.UNCERTAIN,
    "remaining",
    *RESPONSES,
)
LONGEST_SEARCH = 320
_ROWS_A_PIECE = 1000
_MOMENTS = ("finished_at", "delivered_at", *(f"{name}_at" for name in RESPONSES))
COLUMNS = ("email", "state", "attempts", "reply", *_MOMENTS, "message_id")


def narrow(campaign: Campaign, show: str = "", email: str = "") -> DeliveryQuerySet:
    """Those of this state or with this response, whose addresses begin so."""
    rows: DeliveryQuerySet = Delivery.objects.filter(campaign=campaign)
    if show in RESPONSES:
        rows = rows.filter(**{f"{show}_at__isnull": False})
    elif show == "remaining":
        rows = rows.filter(state__in=REMAINING)
    elif show:
        rows = rows.filter(state=show)
    return rows.filter(email__prefix=email.lower()) if email else rows


def export_recipients(rows: DeliveryQuerySet) -> Iterator[str]:
    """Lines of CSV, the heading first; a piece of rows at a time, in small memory."""
    yield csv_line(COLUMNS)
    last = 0
    while piece := list(rows.filter(pk__gt=last).order_by("pk")[:_ROWS_A_PIECE]):
        last = piece[-1].pk
        yield "".join(csv_line(_values(row)) for row in piece)


def _values(row: Delivery) -> list[str]:
    return [guard(_text(getattr(row, name))) for name in COLUMNS]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)

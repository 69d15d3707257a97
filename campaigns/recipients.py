"""The recipients of a campaign one by one: narrowed by what became of them, and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

from campaigns.diagnostics import FIELDS as DIAGNOSTIC
from campaigns.diagnostics import diagnostic_of, with_diagnostics
from campaigns.models import RESPONSES, Campaign, Delivery, DeliveryState, shown_as
from campaigns.models.delivery import DeliveryQuerySet
from campaigns.senders import REMOVED, addresses_of
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
_FIELDS = ("attempts", "reply", *_MOMENTS, "message_id")
COLUMNS = ("email", "state", *_FIELDS, "sender", *DIAGNOSTIC)


def narrow(campaign: Campaign, show: str = "", email: str = "") -> DeliveryQuerySet:
    """Those of this state or with this response, whose addresses begin so."""
    rows: DeliveryQuerySet = Delivery.objects.filter(campaign=campaign)
    if show in RESPONSES:
        rows = rows.filter(**{f"{show}_at__isnull": False})
    elif show == "remaining":
        rows = rows.remaining()
    elif show:
        rows = rows.filter(shown_as(show))
    return rows.filter(email__prefix=email.lower()) if email else rows


def sender_of(delivery: Delivery, addresses: Mapping[tuple[int, UUID | None], str]) -> str:
    """The address of the one of several accounts by which it goes; "" where there is one way out.

    `addresses` are those of `campaigns.senders.addresses_of`.
    """
    if delivery.account_id is None:
        return ""
    return addresses.get((delivery.campaign_id, delivery.account_id), REMOVED)


def export_recipients(campaign: Campaign, rows: DeliveryQuerySet) -> Iterator[str]:
    """Lines of CSV, the heading first; a piece of rows at a time, in small memory."""
    senders = addresses_of([campaign.pk])
    yield csv_line(COLUMNS)
    last = 0
    told = with_diagnostics(rows)
    while piece := list(told.filter(pk__gt=last).order_by("pk")[:_ROWS_A_PIECE]):
        last = piece[-1].pk
        yield "".join(csv_line(_values(row, sender_of(row, senders))) for row in piece)


def _values(row: Delivery, sender: str) -> list[str]:
    told = diagnostic_of(row)
    values = [row.email, row.shown_state, *(getattr(row, name) for name in _FIELDS)]
    values += [sender, *(getattr(told, name) for name in DIAGNOSTIC)]
    return [guard(_text(value)) for value in values]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else str(value)

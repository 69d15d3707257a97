"""The values of one row become a contact's fields, or the reason why they cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from contacts.addresses import InvalidAddress, normalise_email
from contacts.attributes import InvalidAttributes, check_attributes
from contacts.formulas import unguard
from contacts.models import ContactStatus
from contacts.models.contact import LONGEST_NAME
from contacts.status_words import least_mailable, read_status

_SHOWN = 60
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class BadRow(ValueError):
    """The message says why, in a person's words."""


class BadName(ValueError):
    """The message says why, in words that follow the name's own: `is longer than …`."""


@dataclass(slots=True)
class ContactRow:
    """What a row says. Blank values are left out: they change nothing that is stored."""

    email: str
    fields: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


def check_name(text: str) -> str:
    """A name as it may be stored. Raises BadName.

    A line break in a name would end a mail header early (header injection), so it is
    refused rather than guessed at.
    """
    if not text.isprintable() and _CONTROL.search(text):
        raise BadName("holds a line break or another control character.")
    if len(text) > LONGEST_NAME:
        raise BadName(f"is longer than {LONGEST_NAME} characters.")
    return text.replace("\t", " ")


class RowReader:
    """Reads rows of one file, given the target of each column (`contacts.columns`).

    `is_guarded`: takes off the apostrophes that our own export set before formulas.
    """

    def __init__(self, targets: Sequence[str], *, is_guarded: bool = False) -> None:
        self._email_at = targets.index("email")
        self._width = len(targets)
        self._is_guarded = is_guarded
        self._others: list[tuple[int, str, Callable[[ContactRow, str, str], None]]] = [
            (position, target.removeprefix("attributes."), _setter(target))
            for position, target in enumerate(targets)
            if target not in ("", "email")
        ]

    def read(self, values: list[str]) -> ContactRow:
        """The row. Raises BadRow."""
        width = len(values)
        if width > self._width and any(values[self._width :]):
            raise BadRow(f"The row has {width} values, the heading {self._width}.")
        if self._is_guarded:
            values = [unguard(value) for value in values]
        try:
            email = normalise_email(values[self._email_at] if width > self._email_at else "")
        except InvalidAddress as error:
            raise BadRow(str(error)) from None
        row = ContactRow(email)
        for position, name, set_value in self._others:
            if position < width and (value := values[position].strip()):
                set_value(row, name, value)
        return row


def _setter(target: str) -> Callable[[ContactRow, str, str], None]:
    if target.startswith("attributes."):
        return _set_attribute
    return {"status": _set_status, "attributes": _set_attributes}.get(target, _set_name)


def _set_name(row: ContactRow, name: str, value: str) -> None:
    try:
        row.fields[name] = check_name(value)
    except BadName as error:
        raise BadRow(f"{name} {error}") from None


def _set_status(row: ContactRow, name: str, value: str) -> None:
    status = read_status(value)
    if status is None:
        known = ", ".join(ContactStatus)
        raise BadRow(f"Unknown status “{value[:_SHOWN]}”: status is one of {known}.")
    row.fields[name] = least_mailable(status, row.fields.get(name, status))


def _set_attribute(row: ContactRow, name: str, value: str) -> None:
    if "\0" in value:
        raise BadRow(f"{name} holds a NUL character.")
    row.attributes[name] = value


def _set_attributes(row: ContactRow, _name: str, value: str) -> None:
    try:
        row.attributes.update(check_attributes(json.loads(value)))
    except InvalidAttributes as error:
        raise BadRow(str(error)) from None
    except (ValueError, RecursionError):
        raise BadRow("attributes is not a JSON object.") from None

"""A contact's attributes: a JSON object of the tenant's own making, held to a few limits."""

from __future__ import annotations

import json
from typing import Any

MOST_KEYS = 500
LONGEST_KEY = 100
LARGEST = 256 * 1024
_DEEPEST = 20


class InvalidAttributes(ValueError):
    """The message says why, in a person's words."""


def check_attributes(value: object) -> dict[str, Any]:
    """The attributes, fit to be stored on any database. Raises InvalidAttributes."""
    if not isinstance(value, dict):
        raise InvalidAttributes("Attributes are a JSON object.")
    if len(value) > MOST_KEYS:
        raise InvalidAttributes(f"There are more than {MOST_KEYS} attributes.")
    if any(len(key) > LONGEST_KEY or not key.strip() for key in value):
        raise InvalidAttributes(f"An attribute's name has 1 to {LONGEST_KEY} characters.")
    _check_value(value, _DEEPEST)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # NaN, half of a surrogate pair, a number of thousands of digits
        raise InvalidAttributes("An attribute's value cannot be stored.") from None
    if len(text) > LARGEST:
        raise InvalidAttributes(f"The attributes are larger than {LARGEST // 1024} kB.")
    return value


def _check_value(value: object, depth: int) -> None:
    if depth == 0:
        raise InvalidAttributes("The attributes are nested too deeply.")
    match value:
        case dict():
            for key, inner in value.items():
                _check_value(key, depth)
                _check_value(inner, depth - 1)
        case list():
            for inner in value:
                _check_value(inner, depth - 1)
        case str():
            if "\0" in value:
                raise InvalidAttributes("An attribute holds a NUL character.")


def merge_attributes(stored: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What is stored with what is given over it; a null removes its key."""
    merged = {**stored, **given}
    return {key: value for key, value in merged.items() if value is not None}

"""The filters of the personalisation language: none can make a value grow without bound."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from liquid import soft_str
from liquid.builtin.filters import array, math, misc, string
from liquid.exceptions import FilterArgumentError
from liquid.filter import liquid_filter, math_filter, num_arg
from liquid.undefined import is_undefined

_LONGEST_SEPARATOR = 100
_LONGEST_FORMAT = 200
_MOST_DIGITS = 12
# A width such as %999999d makes the C library write that many characters.
_FORMAT = re.compile(r"(?:[^%\0]|%-?[aAbBcdHIjmMpSUwWxXyYZz%e])*")


@liquid_filter
def join(value: object, separator: object = " ") -> str:
    """The items of a list with a short separator between them."""
    if is_undefined(value):
        return str(value)
    words = "" if is_undefined(separator) else soft_str(separator)
    if len(words) > _LONGEST_SEPARATOR:
        raise FilterArgumentError("the separator is too long", token=None)
    if not isinstance(value, list | tuple):
        return soft_str(value)
    return words.join(soft_str(each) for each in value)


@liquid_filter
def format_date(value: object, pattern: object) -> str:
    """A date, or a text in ISO 8601, by strftime's letters; anything else unchanged."""
    if is_undefined(value):
        return str(value)
    words = str(pattern)
    if len(words) > _LONGEST_FORMAT or not _FORMAT.fullmatch(words):
        raise FilterArgumentError("the date format is not allowed", token=None)
    moment: date | None = None
    if isinstance(value, date):
        moment = value
    elif value in ("now", "today"):
        moment = datetime.now(UTC)
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    return str(value) if moment is None else moment.strftime(words)


@math_filter
def round_number(number: float, digits: object = 0) -> float:
    """A number rounded to at most 12 digits after the point."""
    places = 0 if digits is None or is_undefined(digits) else int(num_arg(digits, default=0))
    # A large negative count would make Python compute a power of ten of that size.
    places = max(0, min(places, _MOST_DIGITS))
    return round(number, places) if places else round(number)


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": math.abs_,
    "at_least": math.at_least,
    "at_most": math.at_most,
    "capitalize": string.capitalize,
    "ceil": math.ceil,
    "date": format_date,
    "default": misc.default,
    "divided_by": math.divided_by,
    "downcase": string.downcase,
    "escape": string.escape,
    "first": array.first,
    "floor": math.floor,
    "join": join,
    "last": array.last,
    "lstrip": string.lstrip,
    "minus": math.minus,
    "modulo": math.modulo,
    "newline_to_br": string.newline_to_br,
    "plus": math.plus,
    "remove": string.remove,
    "round": round_number,
    "rstrip": string.rstrip,
    "size": misc.size,
    "strip": string.strip,
    "strip_html": string.strip_html,
    "strip_newlines": string.strip_newlines,
    "times": math.times,
    "truncate": string.truncate,
    "truncatewords": string.truncatewords,
    "upcase": string.upcase,
    "url_encode": string.url_encode,
}

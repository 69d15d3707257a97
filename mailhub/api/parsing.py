"""JSON as this API takes it: what no database or mail server could hold is refused at the door.

Beyond RFC 8259: UTF-8 only, no name twice in an object (RFC 7493), no number that is
not a finite 64-bit one, no NUL, no lone surrogate, at most 64 levels.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

DEEPEST = 64
_LARGEST_INTEGER = 2**63 - 1


class StrictJSONParser(BaseParser):
    """Raises ParseError (400) with the reason."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return read_json(stream.read())
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {error}") from error


def read_json(content: bytes) -> Any:
    """The value of a JSON document; ValueError says what is wrong with it."""
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except RecursionError:
        raise _too_deep() from None
    # NUL and surrogates can only have come from escapes, depth only from brackets.
    if "\\u" in text or text.count("[") + text.count("{") > DEEPEST:
        _inspect(value)
    return value


def _inspect(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _refuse_bad_text(item)
            elif isinstance(item, dict):
                for name in item:
                    _refuse_bad_text(name)
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return
        level = inner
    raise _too_deep()


def _refuse_bad_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("a string holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a string holds half of a surrogate pair") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > 20 or abs(number := int(text)) > _LARGEST_INTEGER:
        raise ValueError("a number is too large")
    return number


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {DEEPEST} levels deep")

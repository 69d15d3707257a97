"""Placeholders out of the way while HTML is read: a mark stands for each."""

from __future__ import annotations

import re

# Two private-use characters stand around a placeholder's number.
OPEN, CLOSE = "\ue000", "\ue001"
_OPENING = re.compile(r"\{[{%]")


def mark_placeholders(html: str) -> tuple[str, list[str]]:
    """The HTML with a mark for each placeholder, and the placeholders."""
    pieces: list[str] = []
    placeholders: list[str] = []
    position = 0
    while (opening := _OPENING.search(html, position)) is not None:
        start = opening.start()
        end = html.find("}}" if opening[0] == "{{" else "%}", start + 2)
        if end < 0:
            # No template that compiles has an opening without an end.
            break
        pieces.append(f"{html[position:start]}{OPEN}{len(placeholders)}{CLOSE}")
        placeholders.append(html[start : end + 2])
        position = end + 2
    pieces.append(html[position:])
    return "".join(pieces), placeholders

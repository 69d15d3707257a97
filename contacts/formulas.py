"""Values that a spreadsheet would compute instead of show (CSV injection).

A cell that begins with one of these characters is run as a formula by Excel, LibreOffice
and Google Sheets, whoever typed it. An apostrophe before it makes it text.
"""

from __future__ import annotations

import re

_WOULD_RUN = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_GUARDED = re.compile(r"'(?='*[=+\-@\t\r\n＝＋－＠])")


def guard(value: str) -> str:
    """The value as it may stand in a CSV file; `unguard` is its exact inverse."""
    return f"'{value}" if _WOULD_RUN.match(value) else value


def unguard(value: str) -> str:
    """The value that `guard` was given."""
    return value[1:] if _GUARDED.match(value) else value

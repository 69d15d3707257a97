"""The groups of fields that machines write for machines (RFC 3464 section 2, RFC 5965)."""

from __future__ import annotations

import re

from mailhub.mail.parsing.charsets import decode_text
from mailhub.mail.parsing.header_block import decode_words

# One group: names in lower case, in order.
Group = list[tuple[str, str]]

_LARGEST = 512 * 1024
_MOST_FIELDS = 20_000
_LONGEST_VALUE = 2_000
_FIELD = re.compile(r"([!-9;-~]{1,100})[ \t]*:[ \t]*(.*)")
_HEXADECIMAL = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_TYPED = re.compile(r"\s*[A-Za-z][A-Za-z0-9_. -]{0,40}\s*;\s*(.*)", re.DOTALL)


def read_groups(content: bytes) -> list[Group]:
    """Fields as they stand between blank lines; lines that are none are left out."""
    groups: list[Group] = [[]]
    text = decode_text(content[:_LARGEST], None)
    count = 0
    for line in text.splitlines():
        if not line.strip():
            if groups[-1]:
                groups.append([])
            continue
        if line[0] in " \t" and groups[-1]:
            name, value = groups[-1][-1]
            if len(value) < _LONGEST_VALUE:
                groups[-1][-1] = (name, f"{value} {line.strip()}"[:_LONGEST_VALUE])
            continue
        field = _FIELD.match(line)
        if field is not None and count < _MOST_FIELDS:
            count += 1
            groups[-1].append((field[1].lower(), field[2].strip()[:_LONGEST_VALUE]))
    return [group for group in groups if group]


def without_type(value: str) -> str:
    """`dns; mx.example.org` → `mx.example.org`: the type is of no use to anybody."""
    found = _TYPED.match(value)
    return decode_words(found[1] if found else value).strip()


def read_recipient(value: str) -> str:
    """The address of `rfc822; a@b`, `utf-8; \\x{E4}@b` (RFC 6533 section 3) or `a@b`."""
    address = _HEXADECIMAL.sub(_character, without_type(value))
    if "<" in address and ">" in address:
        address = address.partition("<")[2].partition(">")[0]
    address = address.strip().strip("<>").strip("'").strip()
    return decode_words(address)[:320]


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return chr(code) if 0x20 < code < 0x110000 and not 0xD800 <= code < 0xE000 else ""

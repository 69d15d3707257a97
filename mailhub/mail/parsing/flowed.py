"""Text as it was typed: format=flowed joined again, uuencoded files taken out."""

from __future__ import annotations

import re

from mailhub.mail.parsing.part_tree import decode_uuencoded_lines

_BEGIN = re.compile(r"begin [0-7]{3,4} (\S.*)")
_QUOTE = re.compile(r">*")


def unflow(text: str, *, delete_space: bool) -> str:
    """RFC 3676: soft-broken lines of one quote depth become one line."""
    lines: list[str] = []
    paragraph: list[str] = []
    depth_before = 0

    def finish() -> None:
        if paragraph:
            quote = ">" * depth_before + " " if depth_before else ""
            lines.append(quote + "".join(paragraph))
            paragraph.clear()

    for raw in text.split("\n"):
        quote = _QUOTE.match(raw)
        depth = len(quote[0]) if quote else 0
        line = raw[depth:].removeprefix(" ")
        signature = line == "-- "
        if paragraph and (depth != depth_before or signature):
            finish()
        depth_before = depth
        flows = line.endswith(" ") and not signature
        paragraph.append(line[:-1] if flows and delete_space else line)
        if not flows:
            finish()
    finish()
    return "\n".join(lines)


def extract_uuencoded(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text without its uuencoded files, and those as (name, octets)."""
    if "\nend" not in text or "begin " not in text:
        return text, []
    kept: list[str] = []
    files: list[tuple[str, bytes]] = []
    lines = text.split("\n")
    ends = [number for number, line in enumerate(lines) if line.rstrip() == "end"]
    position, next_end = 0, 0
    while position < len(lines):
        begin = _BEGIN.fullmatch(lines[position].rstrip())
        while next_end < len(ends) and ends[next_end] <= position:
            next_end += 1
        if begin and next_end < len(ends) and _looks_encoded(lines[position + 1 : position + 2]):
            block = lines[position + 1 : ends[next_end]]
            octets = decode_uuencoded_lines([line.encode("ascii", "replace") for line in block])
            files.append((begin[1], octets))
            position = ends[next_end] + 1
            continue
        kept.append(lines[position])
        position += 1
    return "\n".join(kept), files


def _looks_encoded(first: list[str]) -> bool:
    """Whether a line's length octet and its length agree."""
    if not first or not first[0]:
        return False
    line = first[0].rstrip("\r\n")
    octets = (ord(line[0]) - 32) & 63
    return 32 <= ord(line[0]) <= 96 and 0 <= len(line) - 1 - (octets + 2) // 3 * 4 <= 1

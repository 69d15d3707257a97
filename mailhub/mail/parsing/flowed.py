"""Text as it was typed: format=flowed joined again, uuencoded files taken out."""

from __future__ import annotations

import re

from mailhub.mail.parsing.part_tree import decode_uuencoded_lines

_BEGIN = re.compile(r"^begin [0-7]{3,4} (\S.*)$", re.MULTILINE)
_END = re.compile(r"^end[^\S\n]*$", re.MULTILINE)
# The longest line of uuencode has 61 characters, and one of rubbish.
_LONGEST_LINE = 80
_LONGEST_FLOWED = 2_000_000
_MOST_FILES = 1_000
_QUOTE = re.compile(r">*")


def unflow(text: str, *, delete_space: bool) -> str:
    """RFC 3676: soft-broken lines of one quote depth become one line.

    A text longer than any that is read is left as it is.
    """
    if len(text) > _LONGEST_FLOWED:
        return text
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
    position = 0
    for begin in _BEGIN.finditer(text):
        if begin.start() < position or not _looks_encoded(_line_at(text, begin.end() + 1)):
            continue
        end = _END.search(text, begin.end())
        if end is None or len(files) == _MOST_FILES:
            break
        lines = text[begin.end() + 1 : end.start()].split("\n")
        octets = decode_uuencoded_lines([line.encode("ascii", "replace") for line in lines])
        files.append((begin[1].rstrip(), octets))
        kept.append(text[position : begin.start()])
        position = end.end() + 1
    return "".join([*kept, text[position:]]), files


def _line_at(text: str, start: int) -> str:
    end = text.find("\n", start, start + _LONGEST_LINE)
    return text[start:end] if end >= 0 else text[start : start + _LONGEST_LINE]


def _looks_encoded(line: str) -> bool:
    """Whether a line's length octet and its length agree."""
    if not line:
        return False
    octets = (ord(line[0]) - 32) & 63
    return 32 <= ord(line[0]) <= 96 and 0 <= len(line) - 1 - (octets + 2) // 3 * 4 <= 1

"""HTML → plain text, for snippets, for search and for people who read text."""

from __future__ import annotations

import re

from inscriptis import get_text

from mailhub.mail.parsing.charsets import clean_text

# What a newsletter's text needs many times over; the rest of a larger page is left out.
MAXIMUM_CHARACTERS = 300_000

_UNSEEN = re.compile(r"<(script|style|head|title)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_SPAN = re.compile(r"\s(?:col|row)span\s*=\s*[\"']?\s*\d*[\"']?", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_BLANK_LINES = re.compile(r"\n{3,}")
_TRAILING_SPACES = re.compile(r"[ \t\u00a0]+$", re.MULTILINE)
# Fill characters that newsletters put behind their preview line.
_FILL = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2060-\u2064\ufeff]")
SNIPPET_CHARACTERS = 200


def text_of_html(html: str) -> str:
    """The readable text of at most the first 300,000 characters."""
    html = _SPAN.sub(" ", _UNSEEN.sub(" ", clean_text(html[:MAXIMUM_CHARACTERS])))
    try:
        text = get_text(html)
    except Exception:
        # The library and the parser below it promise nothing about broken pages.
        text = _TAG.sub(" ", html)
    text = _TRAILING_SPACES.sub("", clean_text(text))
    return _BLANK_LINES.sub("\n\n", text).strip()


def snippet_of(text: str) -> str:
    """The first 200 characters on one line, quoted lines last."""
    start = _FILL.sub("", text[:20_000])
    lines = [line for line in start.split("\n") if not line.startswith(">")]
    words = " ".join(" ".join(lines).split()) or " ".join(start.split())
    if len(words) <= SNIPPET_CHARACTERS:
        return words
    return words[: SNIPPET_CHARACTERS - 1].rstrip() + "…"

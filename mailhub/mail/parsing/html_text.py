"""HTML → plain text, for snippets, for search and for people who read text.

A layout engine for text pads cells and indents lists, which lets a small page grow into
gigabytes; here nh3 makes well-formed HTML without attributes of anything, and one pass
over its tags puts the line breaks in.
"""

from __future__ import annotations

import html as html_escapes
import re
from collections import Counter

import nh3

from mailhub.mail.parsing.charsets import clean_text

# What a newsletter's text needs many times over; the rest of a larger page is left out.
MAXIMUM_CHARACTERS = 300_000
# HTML parsers need quadratic time for deep nesting (50,000 levels: 4 s); no letter has this.
MAXIMUM_DEPTH = 1_000
SNIPPET_CHARACTERS = 200

_BLANK_LINE_AROUND = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "dl", "table"}
)
_OWN_LINE = frozenset({"div", "tr", "li", "dt", "dd", "hr", "caption", "section", "article"})
_CELLS = frozenset({"td", "th"})
_KEPT = _BLANK_LINE_AROUND | _OWN_LINE | _CELLS | {"br"}
_UNSEEN = frozenset(
    {"script", "style", "title", "head", "noscript", "template", "textarea", "select", "svg"}
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
# Elements that the next of their kind closes, so that they do not nest where left open.
_SELF_CLOSING = frozenset(
    {"p", "li", "td", "th", "tr", "dt", "dd", "option", "thead", "tbody", "tfoot", "colgroup"}
)

_WRITTEN_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_CLEAN_TAG = re.compile(r"<(/?[a-z0-9]+)[^>]*>")
_ANY_TAG = re.compile(r"<[^<>]*>")
# Fill characters that newsletters put behind their preview line.
_FILL = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2060-\u2064\ufeff]")


def text_of_html(html: str) -> str:
    """The readable text of at most the first 300,000 characters, never longer than those."""
    html = clean_text(html[:MAXIMUM_CHARACTERS])
    if is_too_deep(html):
        return " ".join(clean_text(html_escapes.unescape(_ANY_TAG.sub(" ", html))).split())
    cleaned = nh3.clean(
        html,
        tags=set(_KEPT),
        attributes={"*": set()},
        clean_content_tags=set(_UNSEEN),
        link_rel=None,
    )
    writer = _Writer()
    for position, token in enumerate(_CLEAN_TAG.split(cleaned)):
        # Text and tags take turns.
        if position % 2:
            writer.tag(token)
        else:
            writer.text(html_escapes.unescape(token))
    text = clean_text("".join(writer.written))
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


class _Writer:
    """Puts text down; line breaks wait until there is text to break."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self._breaks = 0
        self._space = False
        self._pre = 0

    def tag(self, tag: str) -> None:
        name = tag.removeprefix("/")
        if name == "pre":
            self._pre += -1 if tag.startswith("/") else 1
        if name in _BLANK_LINE_AROUND:
            self._breaks = 2
        elif name == "br":
            self._breaks = min(self._breaks + 1, 2)
        elif name in _OWN_LINE:
            self._breaks = max(self._breaks, 1)
        elif name in _CELLS:
            self._space = True
        if tag == "li":
            self._put("*")
            self._space = True

    def text(self, text: str) -> None:
        words = text if self._pre else " ".join(text.split())
        if not words:
            self._space = self._space or bool(text)
            return
        self._space = self._space or text[0].isspace()
        self._put(words)
        self._space = text[-1].isspace()

    def _put(self, words: str) -> None:
        if self._breaks:
            self.written.append("\n" * self._breaks)
        elif self._space:
            self.written.append(" ")
        self.written.append(words)
        self._breaks, self._space = 0, False


def is_too_deep(html: str) -> bool:
    """Whether more elements stand open at once than a parser takes in reasonable time."""
    left_open: Counter[str] = Counter()
    depth = 0
    for closing, written in _WRITTEN_TAG.findall(html):
        tag = written.lower()
        if tag in _VOID or tag in _SELF_CLOSING:
            continue
        if not closing:
            left_open[tag] += 1
            depth += 1
        elif left_open[tag]:
            left_open[tag] -= 1
            depth -= 1
        if depth > MAXIMUM_DEPTH:
            return True
    return False


def snippet_of(text: str) -> str:
    """The first 200 characters on one line, quoted lines last."""
    start = _FILL.sub("", text[:20_000])
    lines = [line for line in start.split("\n") if not line.startswith(">")]
    words = " ".join(" ".join(lines).split()) or " ".join(start.split())
    if len(words) <= SNIPPET_CHARACTERS:
        return words
    return words[: SNIPPET_CHARACTERS - 1].rstrip() + "…"

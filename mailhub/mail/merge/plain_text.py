"""A text part for a template that has only HTML, made once from the template itself.

Placeholders pass through untouched, so that the text is a template too: it is the source
that is converted, never a recipient's page.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from inscriptis import get_text
from inscriptis.model.config import ParserConfig

_OPENING = re.compile(r"\{[{%]")
# Two private-use characters stand around a placeholder's number.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_BLANK_LINES = re.compile(r"\n{3,}")

_HIDDEN = frozenset({"head", "script", "style", "template", "title"})
_BREAKING = frozenset(
    {"address", "blockquote", "br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li"}
    | {"ol", "p", "pre", "section", "table", "tr", "ul"}
)


def derive_text(html: str) -> str:
    """A readable text template for this HTML template; links as `[words](target)`.

    Placeholders keep their order, and each tag (`{% … %}`) stays: where a layout by
    tables would move a tag, a plainer conversion that keeps the order is used.
    """
    marked, placeholders = _mark(html.replace(_OPEN, "").replace(_CLOSE, ""))
    text = _laid_out(marked)
    if text is None or _tags(text, placeholders) != _tags(marked, placeholders):
        text = _in_order(marked)
    restored = _MARK.sub(lambda mark: placeholders[int(mark[1])], text)
    lines = (line.rstrip() for line in restored.replace("\xa0", " ").split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _mark(html: str) -> tuple[str, list[str]]:
    """The HTML with a mark for each placeholder, and the placeholders; in linear time."""
    pieces: list[str] = []
    placeholders: list[str] = []
    position = 0
    while (opening := _OPENING.search(html, position)) is not None:
        start = opening.start()
        end = html.find("}}" if opening[0] == "{{" else "%}", start + 2)
        if end < 0:
            # No template that compiles has an opening without an end.
            break
        pieces.append(f"{html[position:start]}{_OPEN}{len(placeholders)}{_CLOSE}")
        placeholders.append(html[start : end + 2])
        position = end + 2
    pieces.append(html[position:])
    return "".join(pieces), placeholders


def _tags(text: str, placeholders: list[str]) -> list[int]:
    """Which tags, and between which placeholders they stand, in order of appearance."""
    numbers = [int(mark[1]) for mark in _MARK.finditer(text)]
    if not any(placeholders[number].startswith("{%") for number in numbers):
        return []
    return numbers


def _laid_out(marked: str) -> str | None:
    try:
        return str(get_text(marked, ParserConfig(display_links=True)))
    except (ValueError, LookupError, RecursionError, AttributeError, TypeError):
        # The layout engine gives up on some broken HTML; the plain conversion never does.
        return None


def _in_order(marked: str) -> str:
    reader = _Reader()
    reader.feed(marked)
    reader.close()
    return "".join(reader.pieces)


class _Reader(HTMLParser):
    """Text in the order of the source, a line break at each block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: list[str] = []
        self._targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag == "a":
            self._targets.append(dict(attrs).get("href") or "")
            self.pieces.append("[" if self._targets[-1] else "")
        elif tag in _BREAKING:
            self.pieces.append("\n* " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and tag == self._hidden[-1]:
            self._hidden.pop()
        elif tag == "a" and self._targets:
            target = self._targets.pop()
            self.pieces.append(f"]({target})" if target else "")
        elif tag in {"p", "table", "ul", "ol"}:
            self.pieces.append("\n")
        elif tag in {"td", "th"}:
            self.pieces.append("  ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(re.sub(r"\s+", " ", data))

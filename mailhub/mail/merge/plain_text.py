"""A text part for a template that has only HTML, made once from the template itself.

Placeholders pass through untouched and in order, so that the text is a template too: it
is the source that is converted, never a recipient's page. Everything takes linear time
and space: a layout engine would pad tables and lists into gigabytes, and move tags out of
tables.
"""

from __future__ import annotations

import re
from html import unescape

from mailhub.mail.merge.placeholders import CLOSE, OPEN, mark_placeholders

_MARK = re.compile(f"({OPEN}\\d+{CLOSE})")
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:-]*)(?P<attributes>[^<>]*)>")
_DECLARATION = re.compile(r"<[!?][^<>]*>")
_TARGET = re.compile(r"\bhref\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"']+))", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")

_HIDDEN = frozenset({"head", "script", "style", "template", "textarea", "title"})
_PARAGRAPHS = frozenset(
    {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"}
)
_LINES = frozenset({"address", "article", "div", "hr", "li", "section", "tr"})


def derive_text(html: str) -> str:
    """A readable text template for this HTML template; links as `[words](target)`."""
    marked, placeholders = mark_placeholders(html.replace(OPEN, "").replace(CLOSE, ""))
    writer = _Writer(placeholders)
    _read(marked, writer)
    text = _MARK.sub(lambda mark: placeholders[int(mark[1][1:-1])], "".join(writer.pieces))
    lines = (line.rstrip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _read(marked: str, writer: _Writer) -> None:
    """Give the writer the text and the tags in the order of the source."""
    position = 0
    never_closed: set[str] = set()
    while (start := marked.find("<", position)) >= 0:
        writer.text(marked[position:start])
        position = start
        if marked.startswith("<!--", start):
            end = marked.find("-->", start + 4)
            position = len(marked) if end < 0 else end + 3
            continue
        tag = _TAG.match(marked, start)
        if tag is None:
            declaration = _DECLARATION.match(marked, start)
            position = declaration.end() if declaration else start + 1
            writer.text("" if declaration else "<")
            continue
        position = tag.end()
        name = tag["name"].lower()
        if name in _HIDDEN and not tag["end"] and name not in never_closed:
            closing = re.compile(f"</{name}[^<>]*>", re.IGNORECASE).search(marked, position)
            if closing is None:
                never_closed.add(name)
            else:
                position = closing.end()
        else:
            writer.tag(name, tag["attributes"], end=bool(tag["end"]))
    writer.text(marked[position:])


class _Writer:
    """Puts words down; breaks and spaces wait until there are words to part.

    A placeholder that is a tag (`{% … %}`) is no word: it goes before the break that
    waits, so that what it repeats or leaves out takes its own break along.
    """

    def __init__(self, placeholders: list[str]) -> None:
        self.pieces: list[str] = []
        self._placeholders = placeholders
        self._targets: list[str] = []
        self._breaks = 0
        self._space = False

    def text(self, text: str) -> None:
        for piece in _MARK.split(text):
            if piece.startswith(OPEN):
                if self._placeholders[int(piece[1:-1])].startswith("{%"):
                    self.pieces.append(piece)
                else:
                    self._put(piece)
                continue
            words = unescape(piece).replace(OPEN, "").replace(CLOSE, "")
            self._space = self._space or words[:1].isspace()
            if words.strip():
                self._put(" ".join(words.split()))
                self._space = words[-1].isspace()

    def tag(self, name: str, attributes: str, *, end: bool) -> None:
        if name == "a":
            self._link(attributes, end=end)
        elif name == "br":
            self._breaks = min(self._breaks + 1, 2)
        elif name in _PARAGRAPHS:
            self._breaks = 2
        elif name in _LINES:
            self._breaks = max(self._breaks, 1)
        elif name in {"td", "th"}:
            self._space = True
        if name == "li" and not end:
            self._put("*")
            self._space = True

    def _link(self, attributes: str, *, end: bool) -> None:
        if not end:
            found = _TARGET.search(attributes)
            target = unescape(found[1] or found[2] or found[3] or "") if found else ""
            self._targets.append("" if target.startswith("#") else target)
            if self._targets[-1]:
                self._put("[")
        elif self._targets:
            target = self._targets.pop()
            self.pieces.append(f"]({target})" if target else "")

    def _put(self, words: str) -> None:
        if self._breaks and self.pieces:
            self.pieces.append("\n" * self._breaks)
        elif self._space and self.pieces:
            self.pieces.append(" ")
        self.pieces.append(words)
        self._breaks, self._space = 0, False

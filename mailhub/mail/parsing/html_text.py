"""HTML → plain text, for snippets, for search and for people who read text.

No tree is built: one pass over the tags puts line breaks in and leaves out what nobody
sees. Its time grows with the length alone, however deep or broken the nesting is, and the
text is never longer than the HTML. What comes out is text: it is escaped wherever it is
shown.
"""

from __future__ import annotations

import html as html_escapes
import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterator

from mailhub.mail.parsing.charsets import clean_text

# What a newsletter's text needs many times over; the rest of a larger page is left out.
MAXIMUM_CHARACTERS = 300_000
# HTML parsers need quadratic time for deep nesting (50,000 levels: 4 s); no letter has this.
MAXIMUM_DEPTH = 1_000
SNIPPET_CHARACTERS = 200

_BLANK_LINE_AROUND = (
    *("p", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("blockquote", "pre", "ul", "ol", "dl", "table"),
)
_OWN_LINE = (
    *("div", "tr", "li", "dt", "dd", "hr", "caption", "section", "article", "header", "footer"),
    *("main", "nav", "aside", "address", "center", "figure", "figcaption", "hgroup", "search"),
    *("form", "fieldset", "legend", "details", "summary", "dialog", "dir", "menu"),
)
_SPACE_AROUND = ("td", "th", "button", "input")
# How many line ends a tag asks for at least; a cell asks for a space, `br` for one more.
_MARKS = {
    **{slash + name: 2 for name in _BLANK_LINE_AROUND for slash in ("", "/")},
    **{slash + name: 1 for name in _OWN_LINE for slash in ("", "/")},
    **{slash + name: 0 for name in _SPACE_AROUND for slash in ("", "/")},
    "br": 0,
}
# What stands inside is no text; without an end tag that is the whole rest (HTML 13.2.6.2).
_RAW = frozenset({"script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"})
# The same where there is an end tag.
_UNSEEN = frozenset({"noscript", "template", "select", "svg"})
_LEFT_OUT = _RAW | _UNSEEN
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
# Elements that the next of their kind closes, so that they do not nest where left open.
_SELF_CLOSING = frozenset(
    {"p", "li", "td", "th", "tr", "dt", "dd", "option", "thead", "tbody", "tfoot", "colgroup"}
)

_WRITTEN_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
# A quotation that holds `<` or does not end is no quotation; a tag may be cut off.
_TAG = re.compile(
    r"""<(/?[a-zA-Z][^\s/<>]*+)(?:(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>|[^<>]*+>?)|<!--|<[!?][^<>]*+>?"""
)
# Fill characters that newsletters put behind their preview line.
_FILL = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2060-\u2064\ufeff]")


def text_of_html(html: str) -> str:
    """The readable text of at most the first 300,000 characters, never longer than those."""
    # Text and tags take turns; a declaration counts as a tag without a name.
    tokens = _TAG.split(_without_comments(html[:MAXIMUM_CHARACTERS]))
    tags = [tag.lower() if tag else "" for tag in tokens[1::2]]
    writer = _Writer()
    writer.text(tokens[0])
    for tag, following in _seen(tags, tokens[2::2]):
        if tag in _MARKS:
            writer.tag(tag)
        if following:
            writer.text(following)
    text = clean_text("".join(writer.written))
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _without_comments(html: str) -> str:
    """Without comments; the text of one that does not end is kept."""
    kept, position = [], 0
    while (start := html.find("<!--", position)) >= 0:
        end = html.find("-->", start + 2)
        if end < 0:
            break
        kept.append(html[position:start])
        position = end + 3
    return "".join([*kept, html[position:]]) if position else html


def _seen(tags: list[str], texts: list[str]) -> Iterator[tuple[str, str]]:
    """Tags, each with the text behind it, but for what stands in elements that show none."""
    ends: dict[str, list[int]] = {}
    if not _LEFT_OUT.isdisjoint(tags):
        for index, tag in enumerate(tags):
            if tag.startswith("/") and tag[1:] in _LEFT_OUT:
                ends.setdefault(tag[1:], []).append(index)
    index = 0
    while index < len(tags):
        tag = tags[index]
        if tag in _LEFT_OUT:
            following = ends.get(tag, [])
            place = bisect(following, index)
            if place < len(following):
                index = following[place]
            elif tag in _RAW:
                return
        yield tags[index], texts[index]
        index += 1


class _Writer:
    """Puts text down; line breaks wait until there is text to break."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self._breaks = 0
        self._space = False
        self._pre = 0

    def tag(self, tag: str) -> None:
        breaks = _MARKS[tag]
        if breaks:
            self._breaks = max(self._breaks, breaks)
        elif tag == "br":
            self._breaks = min(self._breaks + 1, 2)
        else:
            self._space = True
        if tag == "li":
            self._put("*")
            self._space = True
        elif tag == "pre":
            self._pre += 1
        elif tag == "/pre":
            self._pre = max(0, self._pre - 1)

    def text(self, text: str) -> None:
        if "&" in text:
            text = html_escapes.unescape(text)
        if self._pre:
            self._space = False
            self._put(text.removeprefix("\n") if self._breaks else text)
            return
        words = " ".join(text.split())
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
    # Most messages say enough in their first lines, which end where a line ends.
    start = text[: text.rfind("\n", 0, 1_000) + 1]
    words = _unquoted_words(start)
    if len(words) <= SNIPPET_CHARACTERS:
        start = text[:20_000]
        words = _unquoted_words(start) or " ".join(_without_fill(start).split())
    if len(words) <= SNIPPET_CHARACTERS:
        return words
    return words[: SNIPPET_CHARACTERS - 1].rstrip() + "…"


def _unquoted_words(text: str) -> str:
    lines = [line for line in _without_fill(text).split("\n") if not line.startswith(">")]
    return " ".join(" ".join(lines).split())


def _without_fill(text: str) -> str:
    return text if text.isascii() else _FILL.sub("", text)

"""The links of a template that are counted, found once in its source.

Only what stands in the `href` of an `<a>` or `<area>`, leads to a web address whose host is
fixed, and is the same whenever it is rendered for a person: so a click can be answered from
the campaign alone, and leads nowhere that the campaign did not. Links for leaving are never
touched, nor is what stands in comments. Everything takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlsplit

from mailhub.mail.merge import MOST_PLACEHOLDERS, TemplateError, compile_text
from mailhub.mail.merge.placeholders import CLOSE, OPEN, mark_placeholders

MOST_LINKS = 1_000
LONGEST_TARGET = 2_000

_TAG = re.compile(
    r"<(?P<name>[a-zA-Z][a-zA-Z0-9:-]*)(?P<attributes>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*+)>"
)
_ATTRIBUTE = re.compile(
    r"(?P<name>[^\s\"'<>/=]+)(?:\s*=\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'"
    r"|(?P<bare>[^\s\"'=<>`]+)))?"
)
# The host ends before the first placeholder: nobody's name can become a part of it.
_FIXED_HOST = re.compile(r"https?://[^/?#\\\s{]+[/?#]|https?://[^/?#\\\s{]+\Z", re.IGNORECASE)
_LEAVING = re.compile(r"unsubscri|opt-?_?out|abmeld|desinscri|cancelar", re.IGNORECASE)
_LOOP = re.compile(r"\{%-?\s*for\s+(\w+)")
_MARK = re.compile(f"({OPEN}\\d+{CLOSE})")
_VERBATIM = frozenset({"script", "style", "textarea", "title"})


@dataclass(frozen=True, slots=True)
class Found:
    """A template's links, each target once, and the template in which they are counted."""

    targets: tuple[str, ...]
    html: str


def count_links(html: str, counted: str) -> Found:
    """Put `counted` in the place of each link, followed by `-` and its number (from 1).

    `counted` is a placeholder for the beginning of an address. At most 1000 links are taken.
    """
    marked, placeholders = mark_placeholders(html.replace(OPEN, "").replace(CLOSE, ""))
    unsteady = {"forloop", *_LOOP.findall(html)}
    room = min(MOST_LINKS, max(0, MOST_PLACEHOLDERS - len(placeholders) - _FOR_OURS))
    numbers: dict[str, int] = {}
    pieces: list[str] = []
    position = 0
    for start, end in _href_values(marked):
        if not room:
            break
        target = _restore(marked[start:end], placeholders, decode=True).strip()
        if not _is_countable(target, unsteady):
            continue
        number = numbers.setdefault(target, len(numbers) + 1)
        pieces += (marked[position:start], f"{counted}-{number}")
        position = end
        room -= 1
    pieces.append(marked[position:])
    return Found(tuple(numbers), _restore("".join(pieces), placeholders, decode=False))


# Left for the placeholders of the footer and the image.
_FOR_OURS = 10


def _href_values(marked: str) -> Iterator[tuple[int, int]]:
    """Where the values of the links' `href` begin and end."""
    position = 0
    never_closed: set[str] = set()
    while (start := marked.find("<", position)) >= 0:
        if marked.startswith("<!--", start):
            end = marked.find("-->", start + 4)
            if end < 0:
                return
            position = end + 3
            continue
        tag = _TAG.match(marked, start)
        if tag is None:
            position = start + 1
            continue
        position = tag.end()
        name = tag["name"].lower()
        if name in _VERBATIM and name not in never_closed:
            closing = re.compile(f"</{name}", re.IGNORECASE).search(marked, position)
            if closing is None:
                never_closed.add(name)
            else:
                position = closing.end()
        elif name in {"a", "area"}:
            yield from _href_of(tag)


def _href_of(tag: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The first `href` counts, as in a browser; one without quotes ends where a blank does."""
    for attribute in _ATTRIBUTE.finditer(tag.string, *tag.span("attributes")):
        if attribute["name"].lower() == "href":
            group = next((name for name in ("double", "single", "bare") if attribute[name]), "")
            if group:
                yield attribute.span(group)
            return


def _restore(text: str, placeholders: list[str], *, decode: bool) -> str:
    """The text with its placeholders back; decoded, as a browser reads an attribute."""
    return "".join(
        placeholders[int(piece[1:-1])] if _MARK.fullmatch(piece) else _read(piece, decode=decode)
        for piece in _MARK.split(text)
    )


def _read(text: str, *, decode: bool) -> str:
    return unescape(text) if decode else text


def _is_countable(target: str, unsteady: set[str]) -> bool:
    if len(target) > LONGEST_TARGET or not _FIXED_HOST.match(target) or "{%" in target:
        return False
    if _LEAVING.search(target) or not _has_host(target.partition("{{")[0]):
        return False
    if "{{" not in target:
        return True
    try:
        variables = compile_text(target, "html").variables
    except TemplateError:
        return False
    roots = {re.split(r"[.\[]", name, maxsplit=1)[0] for name in variables}
    return unsteady.isdisjoint(roots)


def _has_host(address: str) -> bool:
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:
        return False

"""Style sheets written into the elements that they style, for readers that drop them.

Gmail shows no style sheet of a message that was forwarded or clipped, and others none at
all. Sheets stay where they are, for what only they can say (narrow screens, a dark page).
Nothing is ever loaded: no file and no address that the HTML names.
"""

from __future__ import annotations

import re
from functools import cache

from css_inline import CSSInliner, InlineError

from mailhub.mail.merge.placeholders import CLOSE, OPEN, mark_placeholders
from mailhub.mail.parsing.html_text import is_too_deep

_SHEET = re.compile(r"<style\b", re.IGNORECASE)
_MARK = re.compile(f'(?:<!--)?{OPEN}(\\d+){CLOSE}(?:-->|="")?')
# Where markup begins: a comment, an element whose content is no markup, any other tag.
_MARKUP = re.compile(
    r"<(?:(!--)|(style|title|script|textarea)\b|[/!?a-zA-Z][^<>]*>)", re.IGNORECASE
)


def inline_styles(html: str) -> str:
    """The HTML template with its style sheets inlined, all its placeholders in their places.

    It comes back as it is where there is no sheet, and where a parser would move or lose a
    placeholder.
    """
    if not _SHEET.search(html) or OPEN in html or CLOSE in html or is_too_deep(html):
        return html
    marked, placeholders = mark_placeholders(html)
    marked, in_sheets = _between_elements(marked)
    try:
        inlined = _inliner().inline(marked)
    except InlineError:
        return html
    found = [int(number) for number in _MARK.findall(inlined)]
    # What a sheet says stands in the elements too; all else is there once, and in its order.
    others = [number for number in range(len(placeholders)) if number not in in_sheets]
    if [number for number in found if number not in in_sheets] != others:
        return html
    return _MARK.sub(lambda mark: placeholders[int(mark[1])], inlined)


@cache
def _inliner() -> CSSInliner:
    return CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, keep_link_tags=True)


def _between_elements(html: str) -> tuple[str, set[int]]:
    """Marks outside of tags as comments, which may stand anywhere; and the marks in sheets."""
    pieces: list[str] = []
    in_sheets: set[int] = set()
    position = 0
    while (markup := _MARKUP.search(html, position)) is not None:
        pieces.append(_MARK.sub(_as_comment, html[position : markup.start()]))
        position = _end(html, markup)
        pieces.append(html[markup.start() : position])
        if (markup[2] or "").lower() == "style":
            in_sheets |= {int(number) for number in _MARK.findall(pieces[-1])}
    pieces.append(_MARK.sub(_as_comment, html[position:]))
    return "".join(pieces), in_sheets


def _end(html: str, markup: re.Match[str]) -> int:
    """Where it ends; one that never does takes the rest."""
    if markup[1]:
        end = html.find("-->", markup.end())
    elif markup[2]:
        closing = re.compile(f"</{markup[2]}", re.IGNORECASE).search(html, markup.end())
        end = closing.start() if closing else -1
    else:
        return markup.end()
    return len(html) if end < 0 else end


def _as_comment(mark: re.Match[str]) -> str:
    return f"<!--{mark[0]}-->"

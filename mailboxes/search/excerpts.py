"""What is shown of a message that was found: the part of its text that matches, and where.

Found anew in the text with the index's rules: letters are alike whatever their case and
accents. Only the beginning of a long text is looked through.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from mailboxes.search.query import Place, SearchQuery, Words
from mailboxes.search.scripts import UNSPACED_CLASS

# From the first to before the last character (Unicode code points).
Range = tuple[int, int]

LONGEST_READ = 10_000
LONGEST_EXCERPT = 160
_BEFORE_MATCH = 40
_UNSPACED = re.compile(f"[{UNSPACED_CLASS}]")
_LETTER = r"[^\W_]"
_ENDS = rf"(?:(?!{_LETTER})|(?=[{UNSPACED_CLASS}]))"
_RUNS = re.compile(rf"[{UNSPACED_CLASS}]+|(?:(?![{UNSPACED_CLASS}]){_LETTER})+")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Plain text, and where in it the words are that were looked for."""

    text: str
    ranges: tuple[Range, ...] = ()

    def as_html(self) -> SafeString:
        """Escaped, with the words in `<mark>`."""
        return marked_html(self.text, self.ranges)


@dataclass(frozen=True, slots=True)
class Found:
    """How a found message is shown."""

    subject: Excerpt
    snippet: Excerpt


class Highlights:
    """Shows messages that a query found."""

    def __init__(self, query: SearchQuery) -> None:
        self._words = query.wanted_words

    def show(self, subject: str, snippet: str, text: str) -> Found:
        """`text` may be its beginning alone; `snippet` is shown where nothing in it matches."""
        return Found(
            Excerpt(subject, find_ranges(self._in_subject, subject)), self._excerpt(snippet, text)
        )

    def _excerpt(self, snippet: str, text: str) -> Excerpt:
        if self._in_text is not None:
            flat = " ".join(text[:LONGEST_READ].split())
            first = self._in_text.search(fold(flat))
            if first is not None:
                shown = _cut(flat, first.start(), first.end())
                return Excerpt(shown, find_ranges(self._in_text, shown))
        return Excerpt(snippet, find_ranges(self._in_text, snippet))

    @cached_property
    def _in_subject(self) -> re.Pattern[str] | None:
        places = (Place.ANYWHERE, Place.SUBJECT)
        return pattern_of(words for words in self._words if words.place in places)

    @cached_property
    def _in_text(self) -> re.Pattern[str] | None:
        return pattern_of(words for words in self._words if words.place is Place.ANYWHERE)


def pattern_of(words: Iterable[Words]) -> re.Pattern[str] | None:
    """Finds any of these in a folded text; None where they hold no letter."""
    alternatives = [pattern for some in words if (pattern := _alternative(some))]
    # The longest first: one is found where another is its beginning.
    alternatives.sort(key=len, reverse=True)
    return re.compile("|".join(alternatives)) if alternatives else None


def find_ranges(pattern: re.Pattern[str] | None, text: str) -> tuple[Range, ...]:
    """Where it matches, in order, without overlaps."""
    return tuple(found.span() for found in pattern.finditer(fold(text))) if pattern else ()


def marked_html(text: str, ranges: Sequence[Range]) -> SafeString:
    """The text escaped, with these ranges of it in `<mark>`."""
    pieces, at = [], 0
    for start, end in ranges:
        pieces.append(conditional_escape(text[at:start]))
        pieces.append(format_html("<mark>{}</mark>", text[start:end]))
        at = end
    return mark_safe("".join([*pieces, conditional_escape(text[at:])]))  # noqa: S308 - escaped


def _cut(text: str, start: int, end: int) -> str:
    """About 160 characters around a match, from one space to another, where there are any."""
    first = max(0, start - _BEFORE_MATCH)
    if first:
        space = text.find(" ", first, start)
        first = space + 1 if space >= 0 else first
    last = max(end, first + LONGEST_EXCERPT)
    if last < len(text):
        space = text.rfind(" ", end, last)
        last = space if space >= 0 else last
    last = min(last, first + 2 * LONGEST_EXCERPT)
    return f"{'…' if first else ''}{text[first:last]}{'…' if last < len(text) else ''}"


def _alternative(words: Words) -> str:
    runs = _RUNS.findall(fold(words.text))
    if not runs:
        return ""
    parts = [re.escape(run) if _UNSPACED.match(run) else _whole(re.escape(run)) for run in runs]
    if words.is_prefix:
        parts[-1] = parts[-1].removesuffix(_ENDS)
    return r"[\W_]*".join(parts)


def _whole(run: str) -> str:
    """What is before it is looked at last: a search for letters is far quicker than one for it."""
    return f"{run}(?:(?<!{_LETTER}{run})|(?<=[{UNSPACED_CLASS}]{run})){_ENDS}"


class _Folding(dict[int, str]):
    """Each character → one that stands for it in any case and accent."""

    def __missing__(self, code: int) -> str:
        decomposed = unicodedata.normalize("NFKD", chr(code)).lower()
        bare = "".join(sign for sign in decomposed if not "\u0300" <= sign <= "\u036f")
        folded = unicodedata.normalize("NFKC", bare)[:1] or chr(code)
        self[code] = folded
        return folded


_FOLDING = _Folding()
# All but letters that are as they would be folded, of the scripts that mail is written in.
_MAY_CHANGE = re.compile("[^\x00-\x7fа-ик-яα-ω\u3041-\u304a\u4e00-\u9fff\uac00-\ud7a3]+")
# To replace more different characters one after the other is dearer than to look each up.
_MOST_REPLACED = 40


def fold(text: str) -> str:
    """Without case and accents; of the same length, so that ranges of it are the text's."""
    if text.isascii():
        return text.lower()
    found = set("".join(_MAY_CHANGE.findall(text)))
    if len(found) > _MOST_REPLACED:
        return text.translate(_FOLDING).lower()
    for character in found:
        text = text.replace(character, _FOLDING[ord(character)])
    return text.lower()

"""Text → words, for scripts that put no spaces between them.

A run of such characters is indexed as its overlapping pairs and its last character:
東京都 becomes 東京 京都 都. Any part of it of two or more characters is then a phrase
of pairs, and a single character is the beginning of a pair or the last one. Korean is
treated alike, as its words are written with their particles.
"""

from __future__ import annotations

import re
import unicodedata

# First and last code point of: Thai, Lao · Burmese · Khmer · Han marks and numerals ·
# Hiragana · Katakana · Bopomofo, Hangul letters · Han · Hangul syllables · Han beyond.
UNSPACED = (
    (0x0E01, 0x0EDF),
    (0x1000, 0x109F),
    (0x1780, 0x17DD),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x3035),
    (0x3041, 0x309F),
    (0x30A1, 0x30FA),
    (0x30FC, 0x318E),
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B16F),
    (0x20000, 0x323AF),
)
UNSPACED_CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED)
_RUN = re.compile(f"[{UNSPACED_CLASS}]+")


def index_words(text: str | None) -> str:
    """What the index of SQLite is given in place of a text; its tokenizer does the rest."""
    if not text:
        return ""
    if text.isascii():
        return text
    return _RUN.sub(_pairs_and_last, unicodedata.normalize("NFKC", text))


def query_words(text: str) -> tuple[str, bool]:
    """What is looked for, and whether its last word may be the beginning of one."""
    text = unicodedata.normalize("NFKC", text)
    while text and not _is_word_character(text[-1]):
        text = text[:-1]
    runs = list(_RUN.finditer(text))
    if not runs or runs[-1].end() != len(text):
        return _RUN.sub(_pairs_and_last, text), False
    start = runs[-1].start()
    before, last = _RUN.sub(_pairs_and_last, text[:start]), text[start:]
    if len(last) == 1:
        return f"{before} {last}", True
    return f"{before} {' '.join(_pairs(last))}", False


def has_words(text: str) -> bool:
    """Whether there is anything to look for."""
    return any(unicodedata.category(character)[0] in "LN" for character in text)


def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)]


def _pairs_and_last(found: re.Match[str]) -> str:
    run = found[0]
    return f" {' '.join([*_pairs(run), run[-1]])} "

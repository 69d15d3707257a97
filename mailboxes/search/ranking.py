"""How well a message answers a query: a number from what is stored of it, and nothing else.

A sum over the words that were looked for and the places where they stand, in the manner of
BM25: each further occurrence counts less, and a long text's occurrences count less. A word
in the subject outweighs any number of them in the sender's name, and that any number in
the text. How rare a word is among all mail is left out: to count that, SQLite's bm25() and
PostgreSQL would walk every message that holds it. So the number is the same on both
databases, and does not change as other mail arrives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailboxes.search.excerpts import fold, pattern_of
from mailboxes.search.query import Place, SearchQuery

# How much of a text is looked through, in characters.
LONGEST_RANKED = 1_000
_WEIGHTS = {Place.SUBJECT: 6.0, Place.SENDER: 2.5, Place.RECIPIENTS: 1.5}
# So many occurrences count half of what endless ones would.
_HALF = 1.2
# A text of this length counts in full, in characters.
_USUAL_LENGTH = 600
_LENGTH_COUNTS = 0.5


@dataclass(frozen=True, slots=True)
class Content:
    """What is looked through; `text` is its beginning."""

    subject: str
    sender: str
    recipients: str
    text: str


class Ranking:
    """Compares the messages that a query found."""

    def __init__(self, query: SearchQuery) -> None:
        self._words = [
            (words.place, pattern)
            for words in query.wanted_words
            if (pattern := pattern_of([words])) is not None
        ]

    def score(self, content: Content) -> float:
        """The higher the better; 0 where no words were looked for."""
        folded = Content(
            fold(content.subject),
            fold(content.sender),
            fold(content.recipients),
            fold(content.text),
        )
        return sum(_score(folded, place, pattern) for place, pattern in self._words)


def _score(content: Content, place: Place, pattern: re.Pattern[str]) -> float:
    fields = {
        Place.SUBJECT: content.subject,
        Place.SENDER: content.sender,
        Place.RECIPIENTS: content.recipients,
    }
    score = sum(
        weight * _saturated(len(pattern.findall(fields[name])))
        for name, weight in _WEIGHTS.items()
        if place in (name, Place.ANYWHERE)
    )
    if place is Place.ANYWHERE:
        length = 1 - _LENGTH_COUNTS + _LENGTH_COUNTS * len(content.text) / _USUAL_LENGTH
        score += _saturated(len(pattern.findall(content.text)) / length)
    return score


def _saturated(count: float) -> float:
    return count / (count + _HALF)

"""IMAP SEARCH criteria (RFC 9051 section 6.4.4) as far as mailhub asks for them.

The in-memory server reads what the IMAP server would be sent: flags, UIDs, dates,
sizes, header fields and text, with NOT, OR and parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Protocol

from mailhub.mail.errors import CommandRefused
from mailhub.mail.parsing import ParsedMessage, parse_message
from mailhub.mail.stores.imap_responses import read_internal_date


class Searched(Protocol):
    """What a search looks at."""

    uid: int
    content: bytes
    flags: set[str]
    received_at: datetime
    modseq: int


# (message, highest UID of the folder) → whether it is found
Test = Callable[[Searched, int], bool]

_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(\()|(\))|([^\s()"]+))')
_FLAGS = {
    "ANSWERED": "\\Answered",
    "DELETED": "\\Deleted",
    "DRAFT": "\\Draft",
    "FLAGGED": "\\Flagged",
    "SEEN": "\\Seen",
}
_MAXIMUM_DEPTH = 20


def read_criteria(criteria: str) -> Test:
    """A test for messages. Raises CommandRefused for criteria that cannot be read."""
    return _Reader(criteria).all_of_them()


class _Reader:
    def __init__(self, criteria: str) -> None:
        self._tokens = list(_tokens(criteria))
        self._position = 0
        self._depth = 0

    def all_of_them(self) -> Test:
        tests = self._series()
        if self._position < len(self._tokens) or not tests:
            raise _refused()
        return _all(tests)

    def _series(self) -> list[Test]:
        tests = []
        while self._position < len(self._tokens) and self._tokens[self._position] != ")":
            tests.append(self._one())
        return tests

    def _next(self) -> str:
        if self._position >= len(self._tokens):
            raise _refused()
        self._position += 1
        return self._tokens[self._position - 1]

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > _MAXIMUM_DEPTH:
            raise _refused()
        try:
            return self._key(self._next())
        finally:
            self._depth -= 1

    def _key(self, word: str) -> Test:
        key = word.upper()
        if key == "(":
            tests = self._series()
            if self._next() != ")":
                raise _refused()
            return _all(tests)
        if key == "NOT":
            inner = self._one()
            return lambda message, highest: not inner(message, highest)
        if key == "OR":
            left, right = self._one(), self._one()
            return lambda message, highest: left(message, highest) or right(message, highest)
        if key == "ALL":
            return lambda _message, _highest: True
        return self._flag_key(key) or self._value_key(key)

    def _flag_key(self, key: str) -> Test | None:
        if key in {"KEYWORD", "UNKEYWORD"}:
            flag, wanted = self._next(), key == "KEYWORD"
        elif key in _FLAGS:
            flag, wanted = _FLAGS[key], True
        elif key.startswith("UN") and key[2:] in _FLAGS:
            flag, wanted = _FLAGS[key[2:]], False
        else:
            return None
        return lambda message, _highest: (flag in message.flags) is wanted

    def _value_key(self, key: str) -> Test:
        if key == "UID":
            return _in_set(self._next())
        if key == "HEADER":
            name, value = self._next(), self._next().casefold()
            return lambda message, _highest: _header_holds(message, name, value)
        if key in {"FROM", "TO", "CC", "BCC", "SUBJECT"}:
            value = self._next().casefold()
            return lambda message, _highest: _header_holds(message, key, value)
        if key in {"TEXT", "BODY"}:
            value = self._next().casefold()
            return lambda message, _highest: _text_holds(message, value, headers=key == "TEXT")
        if key == "MODSEQ":
            lowest = self._number()
            return lambda message, _highest: message.modseq >= lowest
        if key in {"LARGER", "SMALLER"}:
            limit, larger = self._number(), key == "LARGER"
            return lambda message, _highest: (
                len(message.content) > limit if larger else len(message.content) < limit
            )
        if key in {"SINCE", "BEFORE", "ON"}:
            day = self._day()
            return lambda message, _highest: _on_day(key, message.received_at.date(), day)
        if key in {"SENTSINCE", "SENTBEFORE", "SENTON"}:
            day = self._day()
            return lambda message, _highest: _sent_on_day(key, message, day)
        raise _refused()

    def _number(self) -> int:
        word = self._next()
        if not word.isdecimal():
            raise _refused()
        return int(word)

    def _day(self) -> date:
        moment = read_internal_date(f"{self._next()} 00:00:00")
        if moment is None:
            raise _refused()
        return moment.date()


def _tokens(criteria: str) -> Iterator[str]:
    position = 0
    while position < len(criteria.rstrip()):
        token = _TOKEN.match(criteria, position)
        if token is None:
            raise _refused()
        position = token.end()
        if token[1] is not None:
            yield re.sub(r"\\(.)", r"\1", token[1])
        else:
            yield token[2] or token[3] or token[4]


def _refused() -> CommandRefused:
    return CommandRefused("The server could not read the search.")


def _all(tests: list[Test]) -> Test:
    return lambda message, highest: all(test(message, highest) for test in tests)


def _in_set(text: str) -> Test:
    ranges = []
    for piece in text.split(","):
        first, _, last = piece.partition(":")
        if not all(end.isdecimal() or end == "*" for end in (first, last or first)):
            raise _refused()
        ranges.append((first, last or first))

    def test(message: Searched, highest: int) -> bool:
        for first, last in ranges:
            ends = sorted(highest if end == "*" else int(end) for end in (first, last))
            if ends[0] <= message.uid <= ends[1]:
                return True
        return False

    return test


def _header_holds(message: Searched, name: str, value: str) -> bool:
    parsed = parse_message(message.content)
    wanted = name.lower()
    return any(value in text.casefold() for key, text in parsed.headers if key.lower() == wanted)


def _text_holds(message: Searched, value: str, *, headers: bool) -> bool:
    parsed: ParsedMessage = parse_message(message.content)
    if value in parsed.text.casefold() or value in parsed.html.casefold():
        return True
    return headers and any(value in text.casefold() for _, text in parsed.headers)


def _on_day(key: str, day: date, wanted: date) -> bool:
    if key.endswith("SINCE"):
        return day >= wanted
    if key.endswith("BEFORE"):
        return day < wanted
    return day == wanted


def _sent_on_day(key: str, message: Searched, wanted: date) -> bool:
    sent = parse_message(message.content).date
    return sent is not None and _on_day(key, sent.date(), wanted)

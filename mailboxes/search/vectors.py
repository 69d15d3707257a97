"""The words of a message as PostgreSQL's index holds them, made without PostgreSQL.

A first sync has PostgreSQL do less, where another process has the time. What is made here is
to the octet what the trigger would make, or it is not made at all: words of scripts that
need PostgreSQL's own tables, and texts that reach a bound of its vectors, are left to it.
Knows no Django: see `mailboxes.sync.reading_apart`.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from bisect import bisect
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

# How much of each is indexed by PostgreSQL, in characters: a vector holds a megabyte, and
# a character may need 14 octets of it.
LONGEST: Final = {
    "sender_text": 2_000,
    "recipient_text": 20_000,
    "subject": 8_000,
    "text": 40_000,
}
# The signs that English is written with: a text without others needs no folding.
TYPOGRAPHY: Final = r"\u00A0\u00AB\u00AD\u00B7\u00BB\u2000-\u2027\u202F-\u205E\u20AC"
# Signs beyond ASCII that stand between words, for databases whose locale does not know.
SIGNS: Final = (
    r"\u0080-\u00A9\u00AB-\u00B1\u00B4\u00B6-\u00B8\u00BB\u00BF\u00D7\u00F7\u02C2-\u02DF\u2000-\u2070"
    r"\u20A0-\u20CF\u2190-\u2BFF\u2E00-\u2E7F\u3000-\u3004\u3008-\u3020\u3030\u303D-\u303F"
    r"\u30FB\uE000-\uF8FF\uFE00-\uFE1F\uFE30-\uFE6F\uFF00-\uFF0F\uFFF0-\uFFFF"
    r"\U0001F000-\U0001FBFF\U000E0000-\U000E01EF"
)

# Bounds of PostgreSQL's vectors: octets of a word, places of a word in one text and in
# several put together, places of a text.
_LONGEST_WORD = 2046
_MOST_PLACES = 255
_MOST_PLACES_TOGETHER = 256
_LAST_PLACE = 16_383
# Latin, Cyrillic; the signs that mail is written with; emoji.
_FOLDED_HERE = (
    (0x80, 0x250),
    (0x400, 0x530),
    (0x1E00, 0x1F00),
    (0x2000, 0x2C00),
    (0x1F300, 0x1FB00),
)
_MARKS = re.compile("[\u0300-\u036f]+")
_SIGN = re.compile(f"[{SIGNS}]")
_TYPOGRAPHIC = re.compile(f"[{TYPOGRAPHY}]")
# What PostgreSQL's parser takes for a number with an exponent ends with its digits.
_TOKEN = re.compile(rb"[0-9]+e[0-9]+|[0-9a-z\x80-\xff]+")
_EXPONENT = re.compile(rb"[0-9]+e[0-9]")
_NINE = ord("9")
_SPACED = bytes(
    code if code > 127 or chr(code).isalnum() else ord(" ") for code in range(256)
).lower()
_BETWEEN = b"|"
_ACCOUNT = b"account:"
# What is between a word and its places, by how many octets these are.
_COUNTS = {
    2 * number: b"\0" + struct.pack(">H", number) for number in range(_MOST_PLACES_TOGETHER + 1)
}


class Vectors(NamedTuple):
    """For the columns of the index, as PostgreSQL receives vectors.

    That of the whole message is in two, between which its account belongs: `lexemes` says
    how many there are in both.
    """

    sender: bytes
    recipients: bytes
    subject: bytes
    lexemes: int
    before_account: bytes
    after_account: bytes

    def document(self, account: Sequence[bytes]) -> bytes:
        """The whole message's, with these words (ascending) for its account."""
        words = b"".join([word + b"\0\0\0" for word in account])
        count = struct.pack(">i", self.lexemes + len(account))
        return b"".join((count, self.before_account, words, self.after_account))


class _LeftToPostgreSQL(Exception):
    """A character or a length of which only PostgreSQL knows what becomes of it."""


class _Folded(dict[int, str]):
    def __missing__(self, code: int) -> str:
        raise _LeftToPostgreSQL


def vectors_of(subject: str, sender: str, recipients: str, text: str) -> Vectors | None:
    """Of a message's columns; None where it is left to PostgreSQL."""
    try:
        head = (
            _words(subject[: LONGEST["subject"]]),
            _words(sender[: LONGEST["sender_text"]]),
            _words(recipients[: LONGEST["recipient_text"]]),
        )
        before = [word for words in head for word in (*words, _BETWEEN)]
        body = _words(text[: LONGEST["text"]])
        # Where a word of them has too many places, the next text begins further ahead.
        if len(before) > _MOST_PLACES or len(before) + len(body) > _LAST_PLACE:
            return None
        found = _places([*before, *body])
        of_subject, of_sender, of_recipients = (_lexemes(_places(words)) for words in head)
    except _LeftToPostgreSQL:
        return None
    for word, places in found.items():
        if len(places) > 2 * _MOST_PLACES:
            most = min(_MOST_PLACES_TOGETHER, before.count(word) + _MOST_PLACES)
            found[word] = places[: 2 * most]
    words = sorted(found)
    account = bisect(words, _ACCOUNT)
    return Vectors(
        sender=of_sender,
        recipients=of_recipients,
        subject=of_subject,
        lexemes=len(words),
        before_account=_octets(words[:account], found),
        after_account=_octets(words[account:], found),
    )


def vector_of(text: str) -> bytes | None:
    """Of one text, whatever its length; None where it is left to PostgreSQL."""
    try:
        words = _words(text)
        return None if len(words) > _LAST_PLACE else _lexemes(_places(words))
    except _LeftToPostgreSQL:
        return None


def every_sign() -> str:
    """A text with all characters that are folded here, each between letters."""
    return " ".join(f"A{chr(code)}Z" for code in _folded() if code) + " 1E5x 12ab 7e 0x1F e5 1e5e6"


def _words(text: str) -> list[bytes]:
    if not text.isascii():
        text = text.translate(_folded())
    spaced = text.encode().translate(_SPACED)
    words = spaced.split()
    if any(word[0] <= _NINE and _EXPONENT.match(word) for word in set(words)):
        return _TOKEN.findall(spaced)
    return words


def _places(words: Sequence[bytes]) -> dict[bytes, bytes]:
    """Where each word is, in octets."""
    found: dict[bytes, bytes] = {}
    places = found.get
    for word, place in zip(words, _from_one(), strict=False):
        found[word] = places(word, b"") + place
    if found and max(map(len, found)) > _LONGEST_WORD:
        raise _LeftToPostgreSQL
    return found


def _lexemes(found: dict[bytes, bytes]) -> bytes:
    for word, places in found.items():
        found[word] = places[: 2 * _MOST_PLACES]
    return struct.pack(">i", len(found)) + _octets(sorted(found), found)


def _octets(words: Sequence[bytes], found: dict[bytes, bytes]) -> bytes:
    counts = _COUNTS
    return b"".join(
        [part for word in words for part in (word, counts[len(found[word])], found[word])]
    )


@cache
def _from_one() -> Sequence[bytes]:
    """The places of a vector."""
    return [struct.pack(">H", number) for number in range(1, _LAST_PLACE + 1)]


@cache
def _folded() -> _Folded:
    """Each character of which it is known what becomes of it, and that."""
    found = _Folded({code: chr(code) for code in range(128)})
    for first, end in _FOLDED_HERE:
        for code in range(first, end):
            character = _fold(chr(code))
            if character is not None:
                found[code] = character
    return found


def _fold(character: str) -> str | None:
    """What becomes of a character, or None where that is not certain."""
    if _TYPOGRAPHIC.match(character):
        return " "
    folded = _MARKS.sub("", unicodedata.normalize("NFKD", character).lower())
    folded = _SIGN.sub(" ", unicodedata.normalize("NFKC", folded))
    is_certain = all(sign.isascii() or _is_letter(sign) for sign in folded)
    return folded if folded and is_certain else None


def _is_letter(sign: str) -> bool:
    """Whether it is one that no other character changes."""
    return unicodedata.category(sign) == "Ll" and (ord(sign) < 0x250 or 0x400 <= ord(sign) < 0x530)

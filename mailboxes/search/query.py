"""What a person types into the search box → what is looked for. Pure, and raises for nothing.

Words must all occur. `"…"` is a phrase, `invo*` the beginning of a word (of three
characters or more: shorter ones would stand for half the index), `-` before
anything excludes it. `from:`, `to:` and `subject:` look in one place;
`has:attachment`, `is:unread`, `is:read`, `is:flagged`, `is:unflagged`, `in:` (a folder's
role, path or name), `before:`, `after:` and `since:` (a day, month or year in UTC; `before` is
exclusive, the other two are the same and inclusive) ask about the message itself. What is
none of these is looked for as words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from mailboxes.search.scripts import has_words

LONGEST_QUERY = 500
MOST_PARTS = 32
SHORTEST_PREFIX = 3


class Place(StrEnum):
    """Where words are looked for."""

    ANYWHERE = ""
    SENDER = "from"
    RECIPIENTS = "to"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A word, or words in this order; `is_prefix`: the last may go on."""

    text: str
    place: Place = Place.ANYWHERE
    is_prefix: bool = False
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class FolderName:
    """A folder in which a message lies, or does not, its case folded."""

    name: str
    is_excluded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """`unread`, `flagged` and `has_attachment` are None where nothing is said of them.

    `is_impossible`: it contradicts itself, or asks for signs alone, which no index holds.
    """

    words: tuple[Words, ...] = ()
    folders: tuple[FolderName, ...] = ()
    since: datetime | None = None
    before: datetime | None = None
    unread: bool | None = None
    flagged: bool | None = None
    has_attachment: bool | None = None
    is_impossible: bool = False

    @property
    def wanted_words(self) -> tuple[Words, ...]:
        """Those that a message must hold."""
        return tuple(words for words in self.words if not words.is_excluded)


_QUOTES = str.maketrans(dict.fromkeys("“”„‟〝〞＂", '"') | {"：": ":", "　": " "})
_PART = re.compile(
    r"""(?P<minus>-?)
        (?:(?P<name>from|to|subject|has|is|in|before|after|since):)?
        (?:"(?P<phrase>[^"]*)(?:"|$)(?P<star>\*?)|(?P<word>[^\s"]+))""",
    re.VERBOSE | re.IGNORECASE,
)
_LAST_WORD = re.compile(r"[^\W_]+(?=[\W_]*$)")
_DAY = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?", re.ASCII)
_STATES = {
    ("is", "unread"): ("unread", True),
    ("is", "read"): ("unread", False),
    ("is", "seen"): ("unread", False),
    ("is", "flagged"): ("flagged", True),
    ("is", "starred"): ("flagged", True),
    ("is", "unflagged"): ("flagged", False),
    ("has", "attachment"): ("has_attachment", True),
    ("has", "attachments"): ("has_attachment", True),
}


def read_query(text: str) -> SearchQuery:
    """Any text is a query; beyond 500 characters, or 32 parts, the rest is left out."""
    cleaned = text[:LONGEST_QUERY].encode("utf-8", "ignore").decode().replace("\0", " ")
    reader = _Reader()
    for number, part in enumerate(_PART.finditer(cleaned.translate(_QUOTES))):
        if number == MOST_PARTS:
            break
        reader.read(part)
    return reader.query()


def may_go_on(text: str) -> bool:
    """Whether its last word is long enough to be looked for as the beginning of one."""
    last = _LAST_WORD.search(text)
    return last is not None and len(last[0]) >= SHORTEST_PREFIX


class _Reader:
    def __init__(self) -> None:
        self._words: list[Words] = []
        self._folders: list[FolderName] = []
        self._states: dict[str, bool] = {}
        self._since: datetime | None = None
        self._before: datetime | None = None
        self._is_impossible = False
        self._has_only_signs = False

    def read(self, part: re.Match[str]) -> None:
        excluded = bool(part["minus"])
        name = (part["name"] or "").lower()
        value = part["word"] if part["phrase"] is None else part["phrase"]
        if name in ("", "from", "to", "subject"):
            self._read_words(part, value, Place(name), excluded)
        elif name == "in" and value.strip():
            self._folders.append(FolderName(value.strip().casefold(), excluded))
        elif not (self._read_state(name, value, excluded) or self._read_day(name, value, excluded)):
            self._read_words(part, f"{name} {value}", Place.ANYWHERE, excluded)

    def query(self) -> SearchQuery:
        return SearchQuery(
            words=tuple(self._words),
            folders=tuple(self._folders),
            since=self._since,
            before=self._before,
            unread=self._states.get("unread"),
            flagged=self._states.get("flagged"),
            has_attachment=self._states.get("has_attachment"),
            is_impossible=self._is_impossible or (self._has_only_signs and not self._words),
        )

    def _read_words(self, part: re.Match[str], value: str, place: Place, is_excluded: bool) -> None:
        is_starred = bool(part["star"]) or (part["phrase"] is None and value.endswith("*"))
        is_prefix = is_starred and may_go_on(value)
        if has_words(value):
            self._words.append(
                Words(text=value, place=place, is_prefix=is_prefix, is_excluded=is_excluded)
            )
        elif not is_excluded:
            self._has_only_signs = True

    def _read_state(self, name: str, value: str, is_excluded: bool) -> bool:
        state = _STATES.get((name, value.lower()))
        if state is None:
            return False
        field, expected = state
        expected = expected is not is_excluded
        if self._states.setdefault(field, expected) is not expected:
            self._is_impossible = True
        return True

    def _read_day(self, name: str, value: str, is_excluded: bool) -> bool:
        moment = _read_moment(value) if name in ("before", "after", "since") else None
        if moment is None:
            return False
        if (name == "before") is not is_excluded:
            self._before = min(self._before or moment, moment)
        else:
            self._since = max(self._since or moment, moment)
        return True


def _read_moment(value: str) -> datetime | None:
    """The beginning of a day, month or year; None for what is none."""
    found = _DAY.fullmatch(value)
    if found is None:
        return None
    try:
        return datetime(int(found[1]), int(found[2] or 1), int(found[3] or 1), tzinfo=UTC)
    except ValueError:
        return None

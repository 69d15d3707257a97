"""The lines of a list of messages, and what stands around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.html import escape
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from mailboxes.api.queries import (
    cursor_parts,
    ranked_cursor_parts,
    read_position,
    read_ranked_position,
)
from mailboxes.message_list import list_messages
from mailboxes.models import Folder, FolderRole, Message
from mailboxes.pages.folder_tree import folder_name
from mailboxes.pages.places import Place
from mailboxes.relevance_list import list_by_relevance
from mailboxes.search.query import Place as WordPlace
from mailboxes.search.query import SearchQuery, Words
from mailhub.api.pagination import write_cursor

LINES_A_PAGE = 50
LONGEST_SUBJECT = 500
_WRITTEN_HERE = (FolderRole.SENT, FolderRole.DRAFTS)
_SHOWN_PEOPLE = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One message. `where` says in which folder, or account, it lies, where that is not plain."""

    message: Message
    address: str
    who: str
    where: str
    is_unread: bool
    is_flagged: bool
    is_answered: bool

    @property
    def subject(self) -> SafeString:
        """With the words that were looked for marked; the beginning of a very long one."""
        found = self.message.found
        if found:
            return found.subject.as_html()
        return escape(Truncator(self.message.subject).chars(LONGEST_SUBJECT))

    @property
    def snippet(self) -> SafeString:
        """The same of its text."""
        found = self.message.found
        return found.snippet.as_html() if found else escape(self.message.snippet)


@dataclass(frozen=True, slots=True)
class ListPage:
    """`older` is the address of the next page, "" on the last."""

    lines: Sequence[Line]
    older: str


def read_page(place: Place, folders: Mapping[int, Folder]) -> ListPage:
    """The page of the list that the place names; `folders` are those of all its accounts.

    Raises InvalidInput for a cursor of another list.
    """
    shown, following = (_best if place.is_ranked else _newest)(place)
    older = place.older(write_cursor(*following)) if following else ""
    names = {account.pk: account.account_name for account in place.accounts}
    return ListPage([_line(message, place, folders, names) for message in shown], older)


def _newest(place: Place) -> tuple[list[Message], tuple[Any, ...]]:
    """The messages of a page, and what the cursor of the next holds, where there is one."""
    after = read_position(place.cursor or None)
    found = list_messages(place.account_ids, place.wanted, after=after, size=LINES_A_PAGE + 1)
    shown = found[:LINES_A_PAGE]
    if len(found) <= LINES_A_PAGE:
        return shown, ()
    return shown, cursor_parts((shown[-1].received_at, shown[-1].pk))


def _best(place: Place) -> tuple[list[Message], tuple[Any, ...]]:
    """The same, the best match first."""
    after = read_ranked_position(place.cursor or None)
    shown, end = list_by_relevance(place.account_ids, place.wanted, after=after, size=LINES_A_PAGE)
    return shown, ranked_cursor_parts(end) if end else ()


def _line(
    message: Message, place: Place, folders: Mapping[int, Folder], names: Mapping[UUID, str]
) -> Line:
    entries = list(message.entries.all())
    lying = [folders[entry.folder_id] for entry in entries if entry.folder_id in folders]
    home = place.folder or next(iter(lying), None)
    flagged = [row for row in entries if place.folder is None or row.folder_id == place.folder.pk]
    where = []
    if place.account is None and len(names) > 1:
        where.append(names.get(message.account_id, ""))
    if place.folder is None:
        where += [folder_name(folder) for folder in lying]
    return Line(
        message,
        place.message_address(message.pk),
        _who(message, is_written_here=home is not None and home.role in _WRITTEN_HERE),
        " · ".join(where),
        is_unread=any(not entry.is_seen for entry in flagged),
        is_flagged=any(entry.is_flagged for entry in flagged),
        is_answered=any(entry.is_answered for entry in flagged),
    )


def _who(message: Message, *, is_written_here: bool) -> str:
    if is_written_here:
        people = [*message.to, *message.cc, *message.bcc]
        named = ", ".join(person_words(person) for person in people[:_SHOWN_PEOPLE])
        more = f" and {len(people) - _SHOWN_PEOPLE} more" if len(people) > _SHOWN_PEOPLE else ""
        return f"To {named}{more}" if named else "To nobody yet"
    return person_words(message.sender) or "(no sender)"


def person_words(person: Mapping[str, Any]) -> str:
    """The name of a person, else the address."""
    return str(person.get("name") or person.get("address") or "")


def describe_query(query: SearchQuery) -> list[str]:
    """What a search was taken to mean, piece by piece."""
    pieces = [_describe_words(words) for words in query.words]
    pieces += [f"{'not ' if name.is_excluded else ''}in {name.name}" for name in query.folders]
    states: Iterable[tuple[bool | None, str, str]] = (
        (query.unread, "unread", "read"),
        (query.flagged, "flagged", "not flagged"),
        (query.has_attachment, "with attachment", "without attachment"),
    )
    pieces += [yes if state else no for state, yes, no in states if state is not None]
    if query.since is not None:
        pieces.append(f"since {query.since:%Y-%m-%d}")
    if query.before is not None:
        pieces.append(f"before {query.before:%Y-%m-%d}")
    return pieces


def _describe_words(words: Words) -> str:
    is_phrase = " " in words.text.strip()
    text = f"“{words.text}”" if is_phrase else words.text
    star = " …" if words.is_prefix else ""
    where = "" if words.place is WordPlace.ANYWHERE else f"{words.place.value} "
    return f"{'not ' if words.is_excluded else ''}{where}{text.rstrip('*')}{star}"

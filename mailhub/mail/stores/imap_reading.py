"""Which octets of which messages to fetch so that they can be read, and reading them.

    FETCH (… BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS …])  ─> outlines
    UID FETCH (BODY.PEEK[1.1] …), one request a shape   ─> messages

Messages of the same shape share a request, and all requests are sent at once: a page
costs two round trips, and no octet of an attachment that is not asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mailhub.mail.parsing import message_of_parts, open_message
from mailhub.mail.parsing.part_tree import decode_transfer
from mailhub.mail.stores.base import Outline, ReadMessage, RemoteMessage
from mailhub.mail.stores.imap_arguments import command_sets
from mailhub.mail.stores.imap_responses import FetchedItems
from mailhub.mail.stores.structure import read_structure, text_sections

_FIELDS = "SUBJECT FROM SENDER TO CC BCC REPLY-TO DATE MESSAGE-ID IN-REPLY-TO REFERENCES"
OUTLINE_ITEMS = (
    f"(UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS ({_FIELDS})])"
)
# The section of a whole message.
_WHOLE = ("",)


def outlines_of(items: Iterable[FetchedItems], asked: set[int] | None = None) -> list[Outline]:
    """Outlines by ascending UID; flags that came uninvited are not taken for messages."""
    whole: dict[int, FetchedItems] = {}
    for item in items:
        known = whole.setdefault(item.uid, item)
        known.flags = known.flags if item.flags is None else item.flags
        known.structure = known.structure or item.structure
        known.content = known.content if known.content is not None else item.content
        known.size = known.size or item.size
    return [
        _outline(item)
        for uid, item in sorted(whole.items())
        if (asked is None or uid in asked) and (item.content is not None or item.structure)
    ]


def _outline(item: FetchedItems) -> Outline:
    tree = read_structure(item.structure or [])
    text_octets = sum(part.octets for part in text_sections(tree)) if tree else item.size
    return Outline(
        uid=item.uid,
        flags=item.flags or frozenset(),
        received_at=item.received_at,
        size=item.size,
        header=item.content or b"",
        tree=tree,
        text_octets=text_octets,
    )


class ReadingPlan:
    """The sections that each outlined message wants, and what has come of them."""

    def __init__(self, outlines: Sequence[Outline], *, with_attachments: bool) -> None:
        self._outlines = {outline.uid: outline for outline in outlines}
        self._with_attachments = with_attachments
        self._wanted = {outline.uid: self._sections(outline) for outline in outlines}
        self._arrived: dict[int, dict[str, bytes]] = {}

    def _sections(self, outline: Outline) -> tuple[str, ...]:
        if self._with_attachments or outline.tree is None:
            return _WHOLE
        return tuple(part.section for part in text_sections(outline.tree))

    def requests(self) -> list[tuple[str, str]]:
        """(set of UIDs, items) for each shape; a message without text wants nothing."""
        shapes: dict[tuple[str, ...], list[int]] = {}
        for uid, sections in self._wanted.items():
            if sections:
                shapes.setdefault(sections, []).append(uid)
        return [
            (some, f"(UID {' '.join(f'BODY.PEEK[{section}]' for section in sections)})")
            for sections, uids in shapes.items()
            for some in command_sets(uids)
        ]

    def take(self, items: Iterable[FetchedItems]) -> None:
        """Keep what the server answered."""
        for item in items:
            self._arrived.setdefault(item.uid, {}).update(item.sections)

    def take_whole(self, messages: Iterable[RemoteMessage]) -> None:
        """Keep whole messages."""
        for message in messages:
            self._wanted[message.uid] = _WHOLE
            self._arrived[message.uid] = {"": message.content}

    @property
    def missing(self) -> list[int]:
        """The UIDs of which a section has not come."""
        return [
            uid
            for uid, sections in self._wanted.items()
            if not set(sections) <= set(self._arrived.get(uid, {}))
        ]

    def messages(self) -> Iterator[ReadMessage]:
        """Those that can be read, in the order of the outlines."""
        missing = set(self.missing)
        for uid, outline in self._outlines.items():
            if uid not in missing:
                yield self._message(outline, self._arrived.pop(uid, {}))

    def _message(self, outline: Outline, arrived: dict[str, bytes]) -> ReadMessage:
        if self._wanted[outline.uid] == _WHOLE or outline.tree is None:
            message, contents = open_message(arrived[""])
            return ReadMessage(outline, message, contents if self._with_attachments else ())
        for part in text_sections(outline.tree):
            part.content = decode_transfer(arrived[part.section], part.encoding)
        return ReadMessage(outline, message_of_parts(outline.header, outline.tree))

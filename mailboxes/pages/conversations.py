"""A conversation as a person reads it: every message of it, some of them open."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.text import Truncator

from accounts.caller import Caller
from mailboxes.composing import may_compose
from mailboxes.message_list import with_placements
from mailboxes.models import Draft, Folder, FolderEntry, FolderRole, Message
from mailboxes.pages.lines import LONGEST_SUBJECT
from mailboxes.reading import raw_message
from mailhub.api.errors import as_mailhub_error
from mailhub.errors import MailhubError, NotFound
from mailhub.mail.errors import MailError
from mailhub.mail.parsing import ParsedMessage, parse_message
from mailhub.mail.parsing.message import ParsedAttachment

MOST_SHOWN = 100
MOST_OPEN = 8
LONGEST_TEXT = 200_000
MOST_ATTACHMENTS = 100
_REMOTE_IMAGE = re.compile(r"<img\b[^>]*?\ssrc\s*=\s*[\"']?\s*https?:", re.IGNORECASE)
_LINE_WIDTH, _LINE_HEIGHT = 80, 24
_LOWEST_FRAME, _HIGHEST_FRAME = 160, 720
_LINES_LOOKED_AT = 60


@dataclass(slots=True, kw_only=True)
class ShownMessage:
    """A message of a conversation. `parsed` is None while it is closed, or cannot be read.

    `draft_id` is the draft of which it is the copy in the Drafts folder.

    `leaving` is the folder that it leaves when it is moved; `problem` says why it cannot be
    read. `shows_text`: as plain text, though it has HTML too.
    """

    message: Message
    folders: Sequence[Folder]
    leaving: Folder | None
    is_unread: bool
    is_flagged: bool
    is_answered: bool
    is_asked_for: bool = False
    is_open: bool = False
    parsed: ParsedMessage | None = None
    problem: str = ""
    shows_text: bool = False
    shows_images: bool = False
    is_alone: bool = False
    draft_id: UUID | None = None

    @property
    def has_html(self) -> bool:
        """Whether it is shown in a frame unless asked otherwise."""
        return self.parsed is not None and bool(self.parsed.html)

    @property
    def is_framed(self) -> bool:
        """Whether it is shown in a frame."""
        return self.has_html and not self.shows_text

    @property
    def keeps_images_out(self) -> bool:
        """Whether images lie elsewhere and were not asked for."""
        html = self.parsed.html if self.parsed is not None and self.is_framed else ""
        return not self.shows_images and _REMOTE_IMAGE.search(html) is not None

    @property
    def text(self) -> str:
        """Its plain text, or the beginning of a very long one."""
        return self.parsed.text[:LONGEST_TEXT] if self.parsed else ""

    @property
    def is_cut(self) -> bool:
        """Whether there is more text than is shown."""
        return self.parsed is not None and len(self.parsed.text) > LONGEST_TEXT

    @property
    def attachments(self) -> list[ParsedAttachment]:
        """The first of those that the text does not show itself."""
        return self._beside_the_text[:MOST_ATTACHMENTS]

    @property
    def attachments_left_out(self) -> int:
        """How many more there are than are shown."""
        return max(0, len(self._beside_the_text) - MOST_ATTACHMENTS)

    @property
    def _beside_the_text(self) -> list[ParsedAttachment]:
        if self.parsed is None:
            return []
        html = self.parsed.html
        return [
            attachment
            for attachment in self.parsed.attachments
            if not (attachment.content_id and f"cid:{attachment.content_id}" in html)
        ]

    @property
    def frame_height(self) -> int:
        """About how high its text is, in pixels: the frame cannot be measured, by design."""
        lines = self.text.split("\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT]
        rows = sum(max(1, math.ceil(len(line) / _LINE_WIDTH)) for line in lines)
        return max(_LOWEST_FRAME, min(_HIGHEST_FRAME, 48 + rows * _LINE_HEIGHT))

    @property
    def is_in_trash(self) -> bool:
        """Whether deleting it is for good."""
        return self.leaving is not None and self.leaving.role == FolderRole.TRASH


@dataclass(frozen=True, slots=True)
class Conversation:
    """`messages` are the oldest first; `left_out` counts still older ones.

    `may_send`: whether whoever reads may answer from the account.
    """

    asked_for: ShownMessage
    messages: Sequence[ShownMessage]
    left_out: int
    may_change: bool
    may_send: bool = False
    # Unread ones that are open: they are read by being shown.
    to_mark: Sequence[int] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """That of the message that was asked for, or the beginning of a very long one."""
        subject = Truncator(self.asked_for.message.subject).chars(LONGEST_SUBJECT)
        return subject or "(no subject)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a person wants to see the message that was asked for, and which others are open."""

    as_text: bool = False
    with_images: bool = False
    opened: Sequence[int] = ()


def read_conversation(
    caller: Caller,
    message_id: int,
    folders: Mapping[int, Folder],
    *,
    listed_in: Folder | None = None,
    wish: Wish | None = None,
) -> Conversation:
    """Raises NotFound for a message that the caller may not read, or that lies nowhere."""
    readable = Message.objects.for_caller(caller).visible()
    asked_for = readable.filter(pk=message_id).select_related("account").first()
    if asked_for is None:
        raise NotFound("There is no such message.")
    rows, left_out = _members(asked_for)
    account = asked_for.account
    shown = [_show(row, folders, listed_in) for row in rows]
    asked = next(one for one in shown if one.message.pk == message_id)
    asked.is_asked_for = True
    wish = wish or Wish()
    asked.shows_text, asked.shows_images = wish.as_text, wish.with_images
    _open(shown, asked, wish.opened)
    for one in shown:
        one.message.account = account
        one.is_alone = len(shown) == 1
        if one.is_open:
            one.parsed, one.problem = _read(one.message)
    may_change = account.user_id == caller.user.pk and caller.may("mail", write=True)
    unread = [one.message.pk for one in shown if one.is_open and one.is_unread and one.parsed]
    may_send = may_compose(caller)
    if may_send:
        _note_drafts(caller, shown)
    to_mark = unread if may_change else []
    return Conversation(asked, shown, left_out, may_change, may_send, to_mark)


def _note_drafts(caller: Caller, shown: Sequence[ShownMessage]) -> None:
    drafts = Draft.objects.for_caller(caller).sendable_by(caller).open()
    rows = drafts.filter(copy__in=[one.message.pk for one in shown])
    ids = dict(rows.values_list("copy_id", "pk"))
    for one in shown:
        one.draft_id = ids.get(one.message.pk)


def _members(asked_for: Message) -> tuple[list[Message], int]:
    """The newest messages of its conversation and itself, oldest first; how many are left out."""
    rows = Message.objects.visible().filter(account_id=asked_for.account_id)
    if asked_for.thread_id is None:
        return list(with_placements(rows.filter(pk=asked_for.pk)).defer("text")), 0
    rows = rows.filter(thread_id=asked_for.thread_id)
    newest = list(with_placements(rows).defer("text").order_by("-received_at", "-pk")[:MOST_SHOWN])
    left_out = rows.count() - MOST_SHOWN if len(newest) == MOST_SHOWN else 0
    if asked_for.pk not in {row.pk for row in newest}:
        newest += with_placements(rows.filter(pk=asked_for.pk)).defer("text")
        left_out -= 1
    return newest[::-1], left_out


def _show(
    message: Message, folders: Mapping[int, Folder], listed_in: Folder | None
) -> ShownMessage:
    entries: list[FolderEntry] = list(message.entries.all())
    lying = [folders[entry.folder_id] for entry in entries if entry.folder_id in folders]
    leaving = listed_in if listed_in in lying else next(iter(lying), None)
    return ShownMessage(
        message=message,
        folders=lying,
        leaving=leaving,
        is_unread=any(not entry.is_seen for entry in entries),
        is_flagged=any(entry.is_flagged for entry in entries),
        is_answered=any(entry.is_answered for entry in entries),
    )


def _open(shown: Sequence[ShownMessage], asked: ShownMessage, opened: Sequence[int]) -> None:
    """The one asked for, the newest, and up to a number those that were open and unread ones."""
    asked.is_open = shown[-1].is_open = True
    rest = [one for one in reversed(shown) if not one.is_open]
    kept = [one for one in rest if one.message.pk in opened]
    unread = [one for one in rest if one.is_unread and one not in kept]
    for one in [*kept, *unread][: MOST_OPEN - (len(shown) - len(rest))]:
        one.is_open = True


def _read(message: Message) -> tuple[ParsedMessage | None, str]:
    try:
        return parse_message(raw_message(message)), ""
    except (MailError, MailhubError) as error:
        return None, error_words(error)


def error_words(error: MailError | MailhubError) -> str:
    """What happened, with the server's own words where it said some."""
    known: Any = as_mailhub_error(error)
    reply = known.details.get("reply", "")
    message: str = known.message
    return f"{message} The server said: {reply}" if reply and reply not in message else message

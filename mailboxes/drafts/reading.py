"""A message as what a draft holds: one of the Drafts folder, or one that was not sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import UUID

from mailboxes.drafts.files import NewFile, described, keep_file
from mailboxes.drafts.writing import finished_address
from mailboxes.models import Draft, Message
from mailboxes.models.draft import Person
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.headers import check_message_id
from mailhub.mail.message import Attachment
from mailhub.mail.parsing import Mailbox, ParsedAttachment, ParsedMessage, open_message

_LONGEST_ID = 900
_MOST_REFERENCES = 200


def take_content(draft: Draft, raw: bytes, *, is_copy: bool = False) -> None:
    """The draft says what this message does, and has its files. Part of a transaction.

    Where the message is its `copy`, the files stay there until the draft is changed here.
    What no message could hold, or only ours does, stays as it was: half-written addresses,
    extra header fields, a priority.
    """
    parsed, contents = open_message(raw)
    draft.sender = _sender(draft, parsed)
    for name in ("to", "cc", "bcc"):
        unfinished = [each for each in getattr(draft, name) if finished_address(each) is None]
        setattr(draft, name, [*_people(getattr(parsed, name)), *unfinished])
    draft.reply_to = _people(parsed.reply_to)
    draft.subject = _one_line(parsed.subject)
    draft.text, draft.html = parsed.text, parsed.html
    _take_threading(draft, parsed)
    draft.save()
    _take_files(draft, zip(parsed.attachments, contents, strict=True), is_copy=is_copy)


def _take_threading(draft: Draft, parsed: ParsedMessage) -> None:
    answered = _checked_ids([parsed.in_reply_to])
    draft.in_reply_to = answered[0] if answered else ""
    draft.references = _checked_ids(parsed.references[-_MOST_REFERENCES:])
    draft.answered = _message(draft.account_id, parsed.in_reply_to) if answered else None


def _take_files(
    draft: Draft, files: Iterable[tuple[ParsedAttachment, bytes]], *, is_copy: bool
) -> None:
    """Those that it has already stay as they are."""
    left = {row.digest: row for row in draft.attachments.all()}
    for told, content in files:
        digest = hashlib.sha256(content).hexdigest()
        row = left.pop(digest, None)
        if is_copy and (row is None or row.index is not None):
            row = row or described(draft, _description(told))
            row.size, row.digest, row.index = len(content), digest, told.index
            row.save()
        elif row is None:
            keep_file(draft, NewFile(_description(told), [content]))
    draft.attachments.filter(pk__in=[row.pk for row in left.values()]).delete()


def _description(told: ParsedAttachment) -> Attachment:
    """As much of what the message says of it as may be said again."""
    content_id = told.content_id if told.inline else ""
    for content_type, name in ((told.content_type, content_id), (told.content_type, ""), ("", "")):
        try:
            return Attachment(told.filename, b"", content_type, name, inline=bool(name))
        except InvalidMessage:
            continue
    return Attachment("", b"")


def _sender(draft: Draft, parsed: ParsedMessage) -> Person | dict[str, str]:
    """{} for the account's own address without a name."""
    found = _people(parsed.sender[:1])
    own = Person(name="", address=draft.account.email_address)
    is_own = not found or found[0] == own or finished_address(found[0]) is None
    return {} if is_own else found[0]


def _people(mailboxes: Iterable[Mailbox]) -> list[Person]:
    return [
        Person(name=_one_line(each.name), address=_one_line(each.address)) for each in mailboxes
    ]


def _message(account_id: UUID, message_id: str) -> Message | None:
    rows = Message.objects.filter(account_id=account_id, message_id=message_id)
    return rows.order_by("pk").first()


def _checked_ids(ids: Iterable[str]) -> list[str]:
    found = []
    for each in ids:
        try:
            if each and len(each) <= _LONGEST_ID:
                found.append(check_message_id(f"<{each}>"))
        except InvalidMessage:
            continue
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())

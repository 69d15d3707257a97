"""retrieve-emails: one page of a folder, newest first."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from mailhub.errors import TooLarge
from mailhub.mail.stores.base import Outline, ReadMessage, Store


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page: `number` counts from 1; `words` narrow the folder to where they stand."""

    path: str = "INBOX"
    number: int = 1
    size: int = 10
    words: str = ""
    with_attachments: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """`total` and `pages` are of all that is found, `emails` of this page."""

    request: PageRequest
    total: int
    pages: int
    emails: tuple[ReadMessage, ...]


def retrieve_emails(store: Store, request: PageRequest) -> Page:
    """The page. Leaves \\Seen alone. Raises FolderMissing and other MailErrors, TooLarge.

    Without words two round trips after the folder is opened; no octet of an attachment
    travels unless asked for.
    """
    status = store.select(request.path)
    if request.words:
        found = store.search(request.words)
        total = len(found)
    else:
        found, total = [], status.messages
    last = total - (request.number - 1) * request.size
    first = max(1, last - request.size + 1)
    outlines: list[Outline] = []
    if last >= 1:
        outlines = (
            store.outlines(found[first - 1 : last])
            if request.words
            else store.outlines_at(first, last)
        )
    _refuse_beyond_limit(outlines, request)
    emails = list(store.read(outlines, with_attachments=request.with_attachments))
    emails.sort(key=lambda email: email.outline.uid, reverse=True)
    return Page(request, total, -(-total // request.size), tuple(emails))


def _refuse_beyond_limit(outlines: list[Outline], request: PageRequest) -> None:
    octets = sum(
        outline.size if request.with_attachments else outline.text_octets for outline in outlines
    )
    limit = settings.MAILHUB_JSON_BODY_LIMIT
    if octets > limit:
        megabytes = 1024 * 1024
        raise TooLarge(
            f"This page holds {octets // megabytes} MB; {limit // megabytes} MB are answered at "
            "once. Ask for a smaller pageSize.",
            code="page_too_large",
        )

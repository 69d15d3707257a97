"""A draft as a message: for the wire, or as it lies in the Drafts folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from mailboxes.composing import dated
from mailboxes.drafts.files import attached_files
from mailboxes.drafts.fingerprints import fingerprint_of_draft
from mailboxes.drafts.marks import FIELD, Mark, copy_message_id
from mailboxes.models import Draft
from mailboxes.models.draft import Person
from mailboxes.operations.composing import MailOptions, compose, refuse_too_large, written
from mailhub.errors import InvalidInput
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.message import Address, OutgoingMessage
from mailhub.mail.streaming import message_octets
from mailhub.mail_policy import refuse_attachment


def sendable_message(draft: Draft, send_at: datetime | None) -> tuple[OutgoingMessage, bytes]:
    """The message and its octets for the wire, to leave now or at `send_at`.

    Raises InvalidInput for an address that is not finished, or beyond a limit; TooLarge;
    InvalidMessage where it is for nobody.
    """
    for name in ("to", "cc", "bcc", "reply_to"):
        unfinished = [
            person["address"] for person in getattr(draft, name) if not finished_address(person)
        ]
        if unfinished:
            outer = "replyTo" if name == "reply_to" else name
            raise InvalidInput.field(outer, f"{unfinished[0]} is no address.")
    for row in draft.attachments.all():
        refuse_attachment(row.filename)
    message = dated(compose(_options(draft), username=draft.account.email_address), send_at)
    message.envelope()
    octets = message_octets(message, attached_files(draft))
    refuse_too_large(len(octets))
    return message, octets


def check_writable(draft: Draft) -> None:
    """Raises InvalidMessage for what cannot stand in a message, as a line break in a subject."""
    _message(draft)


def copied_message(draft: Draft) -> tuple[str, bytes]:
    """Message-ID and octets for the Drafts folder: with Bcc, marked as a copy of this version."""
    message = _message(draft)
    mark = Mark(draft.pk, draft.version, fingerprint_of_draft(draft))
    marked = replace(
        message,
        message_id=copy_message_id(draft.pk, draft.version, message.sender.domain),
        date=draft.updated_at,
        headers=[*message.headers, (FIELD, str(mark))],
    )
    octets = message_octets(marked, attached_files(draft), with_bcc=True)
    return marked.message_id, octets


def _message(draft: Draft) -> OutgoingMessage:
    own = Address("", draft.account.email_address)
    options = _options(draft)
    return written(options, options.sender or own)


def _options(draft: Draft) -> MailOptions:
    """Without addresses that are not finished."""
    return MailOptions(
        sender=finished_address(draft.sender) if draft.sender else None,
        to=_addresses(draft.to),
        cc=_addresses(draft.cc),
        bcc=_addresses(draft.bcc),
        reply_to=_addresses(draft.reply_to),
        subject=draft.subject,
        text=draft.text,
        html=draft.html,
        headers=[(name, value) for name, value in draft.headers],
        in_reply_to=draft.in_reply_to,
        references=draft.references,
        priority=draft.priority,
    )


def _addresses(people: Iterable[Person]) -> list[Address]:
    return [found for person in people if (found := finished_address(person)) is not None]


def finished_address(person: Person) -> Address | None:
    """The address, or None while it is still being written."""
    try:
        return Address(person["name"], person["address"])
    except InvalidMessage:
        return None

"""From what a caller says of a message to a message within this installation's limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from mailhub.errors import InvalidInput, TooLarge
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.message import Address, Attachment, OutgoingMessage, parse_address
from mailhub.mail_policy import refuse_attachment

# As other mail programs write them, and read any of the three.
_PRIORITY_FIELDS = {
    "high": (("X-Priority", "1"), ("Importance", "High"), ("X-MSMail-Priority", "High")),
    "low": (("X-Priority", "5"), ("Importance", "Low"), ("X-MSMail-Priority", "Low")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOptions:
    """One message in the caller's words; without `sender` it is from the login's own address."""

    sender: Address | None = None
    to: Sequence[Address] = ()
    cc: Sequence[Address] = ()
    bcc: Sequence[Address] = ()
    reply_to: Sequence[Address] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    headers: Sequence[tuple[str, str]] = ()
    attachments: Sequence[Attachment] = ()
    in_reply_to: str = ""
    references: Sequence[str] = ()
    priority: str = "normal"


def compose(options: MailOptions, *, username: str) -> OutgoingMessage:
    """The message. Raises InvalidMessage, and InvalidInput beyond a limit.

    Header fields that a caller gives win over those that a priority means.
    """
    for attachment in options.attachments:
        refuse_attachment(attachment.filename)
    people = {person.address for person in (*options.to, *options.cc, *options.bcc)}
    limit = settings.MAILHUB_RECIPIENT_LIMIT
    if len(people) > limit:
        raise InvalidInput(
            f"A message may have {limit} recipients; this one has {len(people)}.",
            code="too_many_recipients",
        )
    return written(options, options.sender or _own_address(username))


def written(options: MailOptions, sender: Address) -> OutgoingMessage:
    """The same beyond any limit, as a draft may be. Raises InvalidMessage."""
    given = {name.lower() for name, _ in options.headers}
    meant = _PRIORITY_FIELDS.get(options.priority, ())
    return OutgoingMessage(
        sender=sender,
        to=options.to,
        cc=options.cc,
        bcc=options.bcc,
        reply_to=options.reply_to,
        subject=options.subject,
        text=options.text,
        html=options.html,
        headers=[*options.headers, *(pair for pair in meant if pair[0].lower() not in given)],
        attachments=options.attachments,
        in_reply_to=_bracketed(options.in_reply_to),
        references=[_bracketed(each) for each in options.references],
    )


def sent_octets(message: OutgoingMessage) -> bytes:
    """The octets for the wire. Raises TooLarge; InvalidMessage where nobody would get it."""
    message.envelope()
    return _within_limit(message.as_bytes())


def draft_octets(message: OutgoingMessage) -> bytes:
    """The octets for the writer's own folder, Bcc included. Raises TooLarge."""
    return _within_limit(message.as_stored_bytes())


def _within_limit(content: bytes) -> bytes:
    refuse_too_large(len(content))
    return content


def refuse_too_large(octets: int) -> None:
    """Raises TooLarge for a message of so many octets."""
    limit = settings.MAILHUB_MESSAGE_LIMIT
    if octets > limit:
        raise TooLarge(
            f"The message has {_megabytes(octets)} MB with its attachments encoded; "
            f"{_megabytes(limit)} MB are taken.",
            code="message_too_large",
        )


def _megabytes(octets: int) -> str:
    return f"{octets / (1024 * 1024):.1f}"


def _own_address(username: str) -> Address:
    try:
        return parse_address(username)
    except InvalidMessage:
        raise InvalidInput.field(
            "mailOptions.from", "Say whom it is from: the user name is no address."
        ) from None


def _bracketed(message_id: str) -> str:
    message_id = message_id.strip()
    return f"<{message_id}>" if message_id and not message_id.startswith("<") else message_id

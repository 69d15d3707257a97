"""A message to be sent: frozen values in, an envelope and RFC 5322 octets out.

What is refused is refused when the message is made (InvalidMessage), so that nothing
unsafe waits in a queue. The MIME parts are built by the standard library; the fields of
the message itself by `mailhub.mail.headers`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from mailhub.mail.addresses import Address, encode_address, parse_address, refuse_breaks
from mailhub.mail.errors import InvalidMessage
from mailhub.mail.headers import (
    address_field,
    check_message_id,
    extra_field,
    ids_field,
    text_field,
)
from mailhub.mail.transports.base import Envelope

__all__ = [
    "Address",
    "Attachment",
    "OutgoingMessage",
    "attachment_part",
    "make_message_id",
    "parse_address",
]

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_CONTENT_TYPE = re.compile(
    rf"(?P<main>{_WORD})/(?P<sub>{_WORD})"
    rf"(?P<parameters>(?:\s*;\s*{_WORD}=(?:{_WORD}|\"[^\"\\\x00-\x1f]*\"))*)\s*"
)
_PARAMETER = re.compile(rf";\s*({_WORD})=(?:({_WORD})|\"([^\"]*)\")")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
_LONGEST_LINE = 998
# Everything is encoded down to 7 bits: no server has to offer 8BITMIME.
_POLICY = SMTP.clone(cte_type="7bit")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message.

    `content_type` is `type/subtype`, parameters allowed; empty means
    application/octet-stream. `content_id` is without angle brackets. An `inline`
    attachment with a content id is shown where the HTML names it (`cid:`); without one it
    is offered beside the text. Raises InvalidMessage.
    """

    filename: str
    content: bytes = field(repr=False)
    content_type: str = "application/octet-stream"
    content_id: str = ""
    inline: bool = False

    def __post_init__(self) -> None:
        refuse_breaks("The name of an attachment", self.filename)
        refuse_breaks("The content type of an attachment", self.content_type)
        content_type = self.content_type.strip() or "application/octet-stream"
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise InvalidMessage("The content type of an attachment is not of the form a/b.")
        object.__setattr__(self, "content_type", content_type)
        content_id = self.content_id
        if content_id.startswith("<") and content_id.endswith(">"):
            content_id = content_id[1:-1]
            object.__setattr__(self, "content_id", content_id)
        if content_id and not _CONTENT_ID.fullmatch(content_id):
            raise InvalidMessage("The content id of an attachment is not allowed.")

    @property
    def related(self) -> bool:
        """Whether the HTML shows it by its content id."""
        return self.inline and bool(self.content_id)


Headers = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message with everything that a person can say about it.

    `headers` are extra fields; those that this class or servers set are refused (see
    `mailhub.mail.headers.check_header_name`). `in_reply_to`, `references` and
    `message_id` carry their angle brackets; an empty `message_id` is replaced by a unique
    one in the sender's domain. `date` must know its time zone. `return_path` is the
    envelope's sender where it is not the sender's address (VERP); "<>" is the null path.
    Raises InvalidMessage.
    """

    sender: Address
    to: Sequence[Address] = ()
    cc: Sequence[Address] = ()
    bcc: Sequence[Address] = ()
    reply_to: Sequence[Address] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    headers: Headers = ()
    attachments: Sequence[Attachment] = ()
    in_reply_to: str = ""
    references: Sequence[str] = ()
    message_id: str = ""
    date: datetime = field(default_factory=lambda: datetime.now(UTC))
    return_path: str = ""

    def __post_init__(self) -> None:
        for name in ("to", "cc", "bcc", "reply_to", "attachments", "references"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        pairs = self.headers.items() if isinstance(self.headers, Mapping) else self.headers
        object.__setattr__(self, "headers", tuple((name, value) for name, value in pairs))
        refuse_breaks("The subject", self.subject)
        for name, value in self._header_pairs:
            extra_field(name, value)
        for what, body in (("The text", self.text), ("The HTML", self.html)):
            refuse_surrogates(what, body)
        for value in (*self.references, *filter(None, (self.in_reply_to, self.message_id))):
            check_message_id(value)
        if self.date.tzinfo is None:
            raise InvalidMessage("The date of a message must have a time zone.")
        if self.return_path and self.return_path != "<>":
            object.__setattr__(self, "return_path", encode_address(self.return_path))
        if not self.message_id:
            object.__setattr__(self, "message_id", make_message_id(self.sender.domain))

    @property
    def _header_pairs(self) -> tuple[tuple[str, str], ...]:
        return self.headers  # type: ignore[return-value]  # made a tuple of pairs above

    @property
    def needs_smtputf8(self) -> bool:
        """Whether an address has a local part beyond ASCII (RFC 6531)."""
        people = (self.sender, *self.to, *self.cc, *self.bcc, *self.reply_to)
        return any(person.needs_smtputf8 for person in people)

    def envelope(self) -> Envelope:
        """Sender and all recipients, Bcc too, each once. Raises InvalidMessage on none."""
        everyone = (*self.to, *self.cc, *self.bcc)
        if not everyone:
            raise InvalidMessage("A message needs at least one recipient.")
        sender = self.return_path or self.sender.address
        return Envelope(
            "" if sender == "<>" else sender,
            tuple(dict.fromkeys(person.address for person in everyone)),
        )

    def as_bytes(self) -> bytes:
        """The octets for the wire: CRLF line ends, 7-bit, no Bcc.

        Only a message that needs SMTPUTF8 holds UTF-8, in its address fields.
        """
        return self._fields(with_bcc=False).encode() + self._body()

    def as_stored_bytes(self) -> bytes:
        """The same with Bcc, for the writer's own Drafts and Sent folders."""
        return self._fields(with_bcc=True).encode() + self._body()

    def _fields(self, *, with_bcc: bool) -> str:
        lines = [address_field("From", [self.sender])]
        if self.reply_to:
            lines.append(address_field("Reply-To", self.reply_to))
        for name, people in (("To", self.to), ("Cc", self.cc)):
            if people:
                lines.append(address_field(name, people))
        if with_bcc and self.bcc:
            lines.append(address_field("Bcc", self.bcc))
        lines.append(text_field("Subject", self.subject))
        lines.append(f"Date: {format_datetime(self.date)}\r\n")
        lines.append(ids_field("Message-ID", [self.message_id]))
        if self.in_reply_to:
            lines.append(ids_field("In-Reply-To", [self.in_reply_to]))
        if self.references:
            lines.append(ids_field("References", self.references))
        lines.extend(extra_field(name, value) for name, value in self._header_pairs)
        return "".join(lines)

    def _body(self) -> bytes:
        """The MIME part: alternative, related and mixed only where they are needed."""
        body = EmailMessage(policy=_POLICY)
        text, html = self.text.replace("\0", ""), self.html.replace("\0", "")
        related = [each for each in self.attachments if each.related] if html else []
        if text or not html:
            body.set_content(text)
            if html:
                body.add_alternative(html, subtype="html")
                html_part = list(body.iter_parts())[-1]
                _relate(html_part, related)
                del html_part["MIME-Version"]
        else:
            body.set_content(html, subtype="html")
            _relate(body, related)
        others = [each for each in self.attachments if each not in related]
        if others:
            body.make_mixed()
        for attachment in others:
            body.attach(attachment_part(attachment))
        return body.as_bytes()


def _relate(html_part: object, attachments: Iterable[Attachment]) -> None:
    attachments = list(attachments)
    if not attachments or not isinstance(html_part, EmailMessage):
        return
    html_part.make_related()
    for attachment in attachments:
        html_part.attach(attachment_part(attachment))


def make_message_id(domain: str) -> str:
    """A new unique message id in this domain (128 random bits)."""
    return f"<{secrets.token_hex(16)}@{domain.strip('[]')}>"


def refuse_surrogates(what: str, value: str) -> None:
    """Raise InvalidMessage where `value` holds half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidMessage(f"{what} holds a character that cannot be encoded.") from None


def attachment_part(attachment: Attachment) -> EmailMessage:
    """The MIME part of one attachment, without MIME-Version.

    A message (message/rfc822) goes as it is where it is 7-bit: base64 is forbidden for it
    (RFC 2046 section 5.2.1); otherwise, and for anything that claims to be multipart, it
    goes as application/octet-stream.
    """
    found = _CONTENT_TYPE.fullmatch(attachment.content_type)
    assert found is not None
    main, sub = found["main"].lower(), found["sub"].lower()
    part = EmailMessage(policy=_POLICY)
    if (main, sub) == ("message", "rfc822") and _is_seven_bit(attachment.content):
        part["Content-Type"] = "message/rfc822"
        part["Content-Transfer-Encoding"] = "7bit"
        part["Content-Disposition"] = "attachment"
        part.set_param("filename", attachment.filename, header="Content-Disposition")
        part.set_payload(_crlf(attachment.content).decode("ascii"))
        return part
    parameters = {}
    if main in {"multipart", "message"}:
        main, sub = "application", "octet-stream"
    else:
        parameters = {
            match[1]: match[2] or match[3] or ""
            for match in _PARAMETER.finditer(found["parameters"])
        }
    part.set_content(
        attachment.content,
        maintype=main,
        subtype=sub,
        disposition="inline" if attachment.inline else "attachment",
        filename=attachment.filename or None,
        cid=f"<{attachment.content_id}>" if attachment.content_id else None,
        params=parameters or None,
    )
    del part["MIME-Version"]
    return part


def _is_seven_bit(content: bytes) -> bool:
    return (
        content.isascii()
        and b"\0" not in content
        and all(len(line) <= _LONGEST_LINE for line in content.splitlines())
    )


def _crlf(content: bytes) -> bytes:
    return b"\r\n".join(content.splitlines()) + b"\r\n"

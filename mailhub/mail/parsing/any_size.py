"""Reading a message of any size: one that is held, or one of which the `Beginning` is."""

from __future__ import annotations

from collections.abc import Iterator

from mailhub.mail.octets import Beginning
from mailhub.mail.parsing import large_message, message
from mailhub.mail.parsing.message import ParsedAttachment, ParsedMessage


def parse_message(content: bytes, *, complete: bool = True) -> ParsedMessage:
    """Read a whole message. Never raises for what the octets hold.

    `headers` and `html` stay empty where it need not be `complete`: a list and a search do
    without them. Of a large one very long texts are cut.
    """
    if isinstance(content, Beginning):
        return large_message.parse_large_message(content.whole, complete=complete)
    return message.parse_message(content, complete=complete)


def parse_body(content: bytes) -> ParsedMessage:
    """What a whole message adds to what `parse_headers` tells a list, whose fields stay empty."""
    if isinstance(content, Beginning):
        return large_message.parse_large_message(content.whole, complete=False)
    return message.parse_body(content)


def open_message(content: bytes) -> tuple[ParsedMessage, tuple[bytes, ...]]:
    """A whole message and the octets of its attachments in their order, all in memory."""
    if isinstance(content, Beginning):
        return message.open_message(content.whole.read(0, len(content.whole)))
    return message.open_message(content)


def open_attachment(content: bytes, index: int) -> tuple[ParsedAttachment, Iterator[bytes]]:
    """One attachment and its decoded octets in pieces; IndexError where there is none."""
    if isinstance(content, Beginning):
        return large_message.large_attachment(content.whole, index)
    parsed, contents = message.open_message(content)
    return parsed.attachments[index], iter((contents[index],))


def attachment_content(content: bytes, index: int) -> bytes:
    """The decoded octets of one attachment of the message; IndexError where there is none."""
    return b"".join(open_attachment(content, index)[1])


def embedded_images(content: bytes) -> dict[str, tuple[str, bytes]]:
    """Content-ID → (content type, octets) of the images that the message brings along.

    Of a large one a few megabytes.
    """
    if isinstance(content, Beginning):
        return large_message.large_embedded_images(content.whole)
    return message.embedded_images(content)

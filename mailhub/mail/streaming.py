"""A message whose files are read only while it is written out, a stretch at a time.

The standard library holds an attachment several times over before a message is octets:
decoded, encoded, and as the text of all. Here it lays out the message with a token in the
place of each file; the files' base64 then takes the tokens' places in the one buffer that
becomes the message.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

from mailhub.mail.message import Attachment, OutgoingMessage

# One line of base64 (RFC 2045 section 6.8): a token is found as a line of its own.
_LINE_OCTETS = 57
_STRETCH = _LINE_OCTETS * 4096


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file to be attached: described by `description`, whose content is empty, and read
    by `read`, in stretches of any length.
    """

    description: Attachment
    read: Callable[[], Iterable[bytes]]


def message_octets(
    message: OutgoingMessage, files: Sequence[AttachedFile], *, with_bcc: bool = False
) -> bytes:
    """What `as_bytes` (or `as_stored_bytes`, with Bcc) gives for the message with these files."""
    placed: list[Attachment] = []
    tokens: dict[bytes, AttachedFile] = {}
    for file in files:
        content = secrets.token_bytes(_LINE_OCTETS)
        if file.description.content_type.lower().startswith("message/"):
            # Its own form decides how it may be sent: see `attachment_part`.
            content = b"".join(file.read())
        else:
            tokens[_lines(content)] = file
        placed.append(replace(file.description, content=content))
    whole = replace(message, attachments=(*message.attachments, *placed))
    layout = whole.as_stored_bytes() if with_bcc else whole.as_bytes()
    written, position = BytesIO(), 0
    for start, token in sorted((layout.index(token), token) for token in tokens):
        written.write(layout[position:start])
        written.writelines(_base64_lines(tokens[token].read()))
        position = start + len(token)
    written.write(layout[position:])
    return written.getvalue()


def encoded_size(octets: int) -> int:
    """About how many octets a file of so many takes in a message."""
    return -(-octets // _LINE_OCTETS) * len(_lines(bytes(_LINE_OCTETS)))


def _base64_lines(stretches: Iterable[bytes]) -> Iterator[bytes]:
    left = b""
    for stretch in stretches:
        octets = left + stretch
        end = len(octets) - len(octets) % _LINE_OCTETS
        for start in range(0, end, _STRETCH):
            yield _lines(octets[start : min(start + _STRETCH, end)])
        left = octets[end:]
    if left:
        yield _lines(left)


def _lines(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")

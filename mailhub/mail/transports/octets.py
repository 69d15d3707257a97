"""The octets of a finished message, put into the form that a way of sending takes."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.policy import SMTP

_BARE_BREAK = re.compile(rb"\r(?!\n)|(?<!\r)\n")


class CanonicalLines(bytes):
    """Octets made here, of which it is known that each line ends with CRLF.

    To find that out takes longer than to make them.
    """


class WireLines(CanonicalLines):
    """Of which also is known that they are 7-bit, and that no line begins with a dot."""


class LargeLines:
    """As `WireLines`, the end of which many messages share: it is never copied.

    `bytes` of it are the whole message.
    """

    __slots__ = ("_length", "pieces")

    def __init__(self, begin: bytes, end: bytes) -> None:
        self.pieces = (begin, end)
        self._length = len(begin) + len(end)

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return CanonicalLines(b"".join(self.pieces))

    @staticmethod
    def isascii() -> bool:
        """Yes."""
        return True


Content = bytes | LargeLines


def crlf_lines(content: bytes) -> bytes:
    """Every line ends with CRLF, and no bare CR or LF is left (RFC 5321 section 2.3.8)."""
    if isinstance(content, CanonicalLines):
        return content
    breaks = content.count(b"\r\n")
    if content.count(b"\n") != breaks or content.count(b"\r") != breaks:
        content = _BARE_BREAK.sub(b"\r\n", content)
    return content


def is_wire_ready(octets: bytes) -> bool:
    """Whether whole lines may stand in a message as they are, whoever takes it."""
    return octets.isascii() and octets.endswith(b"\r\n") and b"\n." not in octets[:-1]


def seven_bit(content: bytes) -> bytes:
    """The same message with its 8-bit parts encoded, for who takes ASCII alone."""
    if content.isascii():
        return content
    return message_from_bytes(content).as_bytes(policy=SMTP.clone(cte_type="7bit"))

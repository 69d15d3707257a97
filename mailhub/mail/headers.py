"""Header fields written for the wire: folded, encoded, and impossible to inject into.

The standard library encodes long words of any header (a List-Unsubscribe URI, for
example) into RFC 2047 words, which breaks them for readers. So the fields of the message
itself are written here, once, for single messages and for bulk mail alike; MIME parts
are left to the standard library.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache

from mailhub.mail.addresses import Address, refuse_breaks
from mailhub.mail.errors import InvalidMessage

CRLF = "\r\n"

# RFC 5322 section 2.1.1: 78 should, 998 must.
_WIDTH = 78
_LONGEST_LINE = 998
# RFC 2047 section 2: an encoded word has at most 75 characters, 12 of them frame.
_WORD_OCTETS = 45

_NAME = re.compile(r"[!-9;-~]{1,76}")
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")

# Fields that this library writes itself, or that only servers and signers may add.
RESERVED_NAMES = frozenset(
    {
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "bcc",
        "subject",
        "date",
        "message-id",
        "in-reply-to",
        "references",
        "mime-version",
        "received",
        "return-path",
        "delivered-to",
        "dkim-signature",
        "domainkey-signature",
        "authentication-results",
        "received-spf",
        "apparently-to",
        "envelope-to",
        "x-original-to",
    }
)
RESERVED_PREFIXES = ("content-", "resent-", "arc-", "mime-", "x-ses-")


@lru_cache(maxsize=1024)
def check_header_name(name: str) -> str:
    """A name that a user may give to an extra header field; raises InvalidMessage.

    Refused are names that are no names (RFC 5322 section 3.6.8) and RESERVED_NAMES and
    RESERVED_PREFIXES: who sends, who receives, identity, structure and trace.
    """
    if not _NAME.fullmatch(name):
        raise InvalidMessage("A header field has a name that is not allowed.")
    lowered = name.lower()
    if lowered in RESERVED_NAMES or lowered.startswith(RESERVED_PREFIXES):
        raise InvalidMessage(f"The header field {name} is set by the server and not by the user.")
    return name


def check_message_id(value: str) -> str:
    """A message id with its angle brackets, RFC 5322 section 3.6.4; raises InvalidMessage."""
    if len(value) > _LONGEST_LINE - 20 or not _MESSAGE_ID.fullmatch(value):
        raise InvalidMessage("A message id is not of the form <left@right>.")
    return value


def text_field(name: str, value: str) -> str:
    """An unstructured field such as Subject, as complete lines ending in CRLF.

    Anything but printable ASCII is written as RFC 2047 words. The value must hold no
    line break (see refuse_breaks).
    """
    if _is_plain(value) and "=?" not in value:
        if len(name) + 2 + len(value) <= _WIDTH:
            return f"{name}: {value}{CRLF}"
        folded = _fold(name, value)
        if folded is not None:
            return folded
    return f"{name}: {_encoded_words(value, len(name) + 2)}{CRLF}"


def extra_field(name: str, value: str) -> str:
    """A user's own field. ASCII is never encoded, only folded at its spaces.

    Raises InvalidMessage for a reserved name, a line break, or a part of more than 998
    characters without a space.
    """
    check_header_name(name)
    refuse_breaks(f"The header field {name}", value)
    value = value.strip()
    if not _is_plain(value):
        return f"{name}: {_encoded_words(value, len(name) + 2)}{CRLF}"
    folded = _fold(name, value)
    if folded is None:
        raise InvalidMessage(f"The header field {name} is too long.")
    return folded


def address_field(name: str, addresses: Sequence[Address]) -> str:
    """An address list field such as To, as complete lines ending in CRLF."""
    if len(addresses) == 1:
        return f"{name}: {format_address(addresses[0])}{CRLF}"
    line_length = len(name) + 1
    pieces = [f"{name}:"]
    for position, address in enumerate(addresses):
        written = format_address(address)
        if position < len(addresses) - 1:
            written += ","
        first_line = written.partition(CRLF)[0]
        if line_length + 1 + len(first_line) > _WIDTH and position:
            pieces.append(CRLF)
            line_length = 0
        pieces.append(" " + written)
        last_line = written.rpartition(CRLF)[2]
        line_length = len(last_line) + (line_length + 1 if last_line == written else 0)
    return "".join(pieces) + CRLF


def format_address(address: Address) -> str:
    """`name <address>` with the name as atoms, quoted, or in RFC 2047 words."""
    name = address.name
    if not name:
        return address.address
    if not _is_plain(name) or "=?" in name or len(name) > 200:
        return f"{_encoded_words(name, 10)} <{address.address}>"
    if _PLAIN_PHRASE.fullmatch(name) and "  " not in name:
        return f"{name} <{address.address}>"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address.address}>'


def ids_field(name: str, ids: Sequence[str]) -> str:
    """Message-ID, In-Reply-To or References: ids checked, one a line when many."""
    checked = [check_message_id(value) for value in ids]
    return f"{name}: {(CRLF + ' ').join(checked)}{CRLF}"


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip(" ")


def _fold(name: str, value: str) -> str | None:
    """Break at spaces so that unfolding gives the value back; None where that cannot be."""
    lines: list[str] = []
    line = f"{name}: "
    start = True
    # A space before a space would leave a line of blanks only, so runs stay together.
    for word in re.split(r" (?=[^ ])", value):
        if start:
            line += word
            start = False
        elif len(line) + 1 + len(word) <= _WIDTH:
            line += " " + word
        else:
            lines.append(line)
            line = " " + word
    lines.append(line)
    if any(len(each) > _LONGEST_LINE for each in lines):
        return None
    return CRLF.join(lines) + CRLF


def _encoded_words(value: str, indent: int) -> str:
    """RFC 2047 words in UTF-8 and base64, cut between characters, folded between words."""
    octets = value.encode("utf-8", "replace")
    words = []
    start = 0
    # The first word shares its line with the field's name.
    room = max(12, min(_WORD_OCTETS, (_WIDTH - indent - 12) // 4 * 3))
    while start < len(octets):
        end = min(start + room, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        words.append(b"=?utf-8?b?" + b2a_base64(octets[start:end], newline=False) + b"?=")
        start = end
        room = _WORD_OCTETS
    return b"\r\n ".join(words).decode("ascii")

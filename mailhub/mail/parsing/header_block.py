"""The header of a message or part: octets → ordered (name, value) pairs of text.

Mail programs forgive much here, and so does this: an mbox `From ` line in front, lines
without a colon in the middle, bare CR or LF, raw 8-bit octets (RFC 6532 allows UTF-8;
older senders wrote whatever their machine used).
"""

from __future__ import annotations

import base64
import binascii
import re

from mailhub.mail.parsing.charsets import clean_text, decode_text

Fields = list[tuple[str, str]]

# A header longer than this is an attack, not a letter; what follows is left out.
MAXIMUM_HEADER_OCTETS = 1024 * 1024

_END_OF_HEADER = re.compile(rb"\r?\n\r?\n|\r\r|\A\r?\n")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_LINES = re.compile(rb"\r\n|\n|\r")
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]+(?==\?[^?\s]{1,80}\?[bBqQ]\?)")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_QUOTED_OCTET = re.compile(rb"=([0-9A-Fa-f]{2})")


def split_message(content: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """The header's fields as (name, unfolded octets) and the octets of the body."""
    content = _without_mbox_line(content)
    end = _END_OF_HEADER.search(content)
    head, body = (content[: end.start()], content[end.end() :]) if end else (content, b"")
    fields: list[tuple[str, list[bytes]]] = []
    for line in _LINES.split(head[:MAXIMUM_HEADER_OCTETS]):
        match = _FIELD.match(line)
        if line[:1] in {b" ", b"\t"} and fields:
            fields[-1][1].append(line)
        elif match:
            fields.append((match[1].decode("ascii"), [line[match.end() :]]))
        elif not fields and line:
            return [], content
    return [(name, b"".join(lines).strip()) for name, lines in fields], body


def decode_fields(fields: list[tuple[str, bytes]], guess: str | None = None) -> Fields:
    """Values as text, still with their RFC 2047 words; `guess` is a charset for raw octets."""
    return [(name, decode_text(value, None, guess)) for name, value in fields]


def decode_words(value: str) -> str:
    """A value for a person: RFC 2047 words decoded, control characters made spaces.

    Words side by side in one charset are joined before they are decoded, because many
    senders cut a character in half between them.
    """
    if "=?" not in value:
        return clean_text(_CONTROLS.sub(" ", value)).strip()
    value = _BETWEEN_WORDS.sub(r"\1", value)
    pieces: list[str] = []
    pending, pending_charset, position = b"", "", 0
    for word in _ENCODED_WORD.finditer(value):
        charset = word[1].partition("*")[0].lower()
        adjacent = word.start() == position
        if pending and not (adjacent and charset == pending_charset):
            pieces.append(decode_text(pending, pending_charset))
            pending = b""
        pieces.append(value[position : word.start()])
        pending += _word_octets(word[2], word[3])
        pending_charset, position = charset, word.end()
    pieces.append(decode_text(pending, pending_charset))
    pieces.append(value[position:])
    return clean_text(_CONTROLS.sub(" ", "".join(pieces))).strip()


def forgiving_base64(data: bytes) -> bytes:
    """All that can be decoded; foreign octets, missing padding and a cut end are forgiven."""
    decoded = []
    for run in data.split(b"="):
        digits = _NOT_BASE64.sub(b"", run)
        digits = digits[: len(digits) - 1] if len(digits) % 4 == 1 else digits
        if digits:
            decoded.append(binascii.a2b_base64(digits + b"=" * (-len(digits) % 4)))
    return b"".join(decoded)


def _word_octets(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "bB":
        try:
            return base64.b64decode(data, validate=True)
        except ValueError:
            return forgiving_base64(data)
    data = data.replace(b"_", b" ")
    return _QUOTED_OCTET.sub(lambda octet: bytes((int(octet[1], 16),)), data)


def _without_mbox_line(content: bytes) -> bytes:
    if content.startswith((b"From ", b">From ")):
        line = _LINES.search(content)
        return content[line.end() :] if line else b""
    return content

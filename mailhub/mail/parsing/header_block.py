"""The header of a message or part: octets → ordered (name, value) pairs of text.

Mail programs forgive much here, and so does this: an mbox `From ` line in front, lines
without a colon in the middle, bare CR or LF, raw 8-bit octets (RFC 6532 allows UTF-8;
older senders wrote whatever their machine used).
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re

from mailhub.mail.parsing.charsets import clean_text, decode_text

Fields = list[tuple[str, str]]

# A header longer than this is an attack, not a letter; what follows is left out.
MAXIMUM_HEADER_OCTETS = 1024 * 1024

_END_OF_HEADER = re.compile(rb"\r?\n\r?\n|\r\r|\A\r?\n")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_FIELD_LINES = re.compile(rb"^([!-9;-~]+)[ \t]*:(.*)$", re.MULTILINE)
_LINES = re.compile(rb"\r\n|\n|\r")
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]+(?==\?[^?\s]{1,80}\?[bBqQ]\?)")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")
# Encoded files stand one behind the other now and then; more of them are an attack.
_MOST_PADDINGS = 10_000
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_QUOTED_OCTET = re.compile(rb"=([0-9A-Fa-f]{2})")


def split_message(content: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """The header's fields as (name, unfolded octets) and the octets of the body."""
    return _split_ordinary(content) or split_carefully(content)


def _split_ordinary(content: bytes) -> tuple[list[tuple[str, bytes]], bytes] | None:
    """The same of a header whose lines all end in CRLF and are fields; else None."""
    end = content.find(b"\r\n\r\n", 0, MAXIMUM_HEADER_OCTETS)
    if end < 0 or content[:1] in b" \t\r\n" or content.startswith((b"From ", b">From ")):
        return None
    head = content[:end]
    breaks = head.count(b"\r\n")
    if not head.count(b"\n") == head.count(b"\r") == breaks:
        return None
    if b"\n " in head or b"\n\t" in head:
        head = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t")
        breaks = head.count(b"\n")
    fields = _FIELD_LINES.findall(head)
    if len(fields) != breaks + 1:
        return None
    return [(name.decode("ascii"), value.strip()) for name, value in fields], content[end + 4 :]


def split_carefully(content: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """What `split_message` does with anything that is not written as it should be."""
    content = _without_mbox_line(content.removeprefix(codecs.BOM_UTF8))
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
        if has_no_controls(value):
            return value.strip()
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


def has_no_controls(value: str) -> bool:
    """Whether a value is printable, tabs apart; what only a few odd ones are not."""
    return value.isprintable() or value.replace("\t", " ").isprintable()


def forgiving_base64(data: bytes) -> bytes:
    """All that can be decoded; foreign octets, missing padding and a cut end are forgiven."""
    padding = data.find(b"=")
    if padding < 0 or not data[padding:].strip(b"= \t\r\n"):
        try:
            return binascii.a2b_base64(data)
        except binascii.Error:
            pass
    return base64_carefully(data)


def base64_carefully(data: bytes) -> bytes:
    """What `forgiving_base64` does with anything that is not written as it should be."""
    decoded = []
    if data.count(b"=") > _MOST_PADDINGS:
        data = data.replace(b"=", b"")
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

"""The MIME structure of a campaign, made once: fixed octets with two places to fill.

    mixed( alternative( text, related( html, inline images ) ), attachments )

Only the levels that are needed are there. Attachments are encoded once.
"""

from __future__ import annotations

import secrets
from binascii import b2a_base64, b2a_qp
from collections.abc import Sequence

from mailhub.mail.message import Attachment, attachment_part
from mailhub.mail.transports.octets import (
    CanonicalLines,
    Content,
    LargeLines,
    WireLines,
    crlf_lines,
    is_wire_ready,
)

# RFC 5322 section 2.1.1, without the line end.
LONGEST_LINE = 998
MIME_VERSION = b"MIME-Version: 1.0\r\n"
_BASE64_COLUMNS = 76
# From there on a copy for each message costs more than to keep the end apart.
_LARGE = 32_768

# No quoted-printable or base64 body can hold "=_", so none can hold a boundary; a plain
# body that does is encoded.
_BOUNDARY_START = "=_"


class Skeleton:
    """Splices a text and an HTML body between octets that are the same for everybody."""

    def __init__(
        self, *, has_text: bool, has_html: bool, attachments: Sequence[Attachment] = ()
    ) -> None:
        related = [each for each in attachments if each.related] if has_html else []
        others = [each for each in attachments if each not in related]
        self._pieces: list[bytes | str] = []
        self._indexes: dict[str, int] = {}
        parts = [kind for kind, wanted in (("plain", has_text), ("html", has_html)) if wanted]
        self._write_mixed(parts or ["plain"], related, others)
        fixed = [crlf_lines(piece) if isinstance(piece, bytes) else b"" for piece in self._pieces]
        last = max(self._indexes.values()) + 1
        self._fixed, end = fixed[:last], b"".join(fixed[last:])
        is_shared = len(end) >= _LARGE and is_wire_ready(end) and not end.startswith(b".")
        self._end = end if is_shared else b""
        self._fixed += [] if is_shared else [end]

    @property
    def pieces(self) -> list[bytes | str]:
        """What stands in every message, in order; `plain` and `html` where these bodies go.

        A large end is not among them: see `finish`.
        """
        places = {index: kind for kind, index in self._indexes.items()}
        return [MIME_VERSION, *(places.get(index, each) for index, each in enumerate(self._fixed))]

    def finish(self, message: bytes) -> Content:
        """The whole of a message that lacks what is large and the same for everybody."""
        if not self._end:
            return message
        if isinstance(message, WireLines) or is_wire_ready(message):
            return LargeLines(message, self._end)
        return CanonicalLines(message + self._end)

    def fill(self, head: bytes, text: str, html: str) -> Content:
        """The whole message: `head` is its header block without the MIME fields."""
        pieces = self._fixed.copy()
        for kind, index in self._indexes.items():
            pieces[index] = _body(kind, html if kind == "html" else text)
        return self.finish(CanonicalLines(b"".join((head, MIME_VERSION, *pieces))))

    def _write_mixed(
        self, parts: list[str], related: list[Attachment], others: list[Attachment]
    ) -> None:
        if not others:
            self._write_alternative(parts, related)
            return
        boundary = self._open("mixed")
        self._pieces.append(_delimiter(boundary))
        self._write_alternative(parts, related)
        self._write_attachments(boundary, others)

    def _write_alternative(self, parts: list[str], related: list[Attachment]) -> None:
        if len(parts) == 1:
            self._write_related(parts[0], related)
            return
        boundary = self._open("alternative")
        for kind in parts:
            self._pieces.append(_delimiter(boundary))
            self._write_related(kind, related)
            self._pieces.append(b"\r\n")
        self._pieces.append(_closing(boundary))

    def _write_related(self, kind: str, related: list[Attachment]) -> None:
        if kind != "html" or not related:
            self._write_place(kind)
            return
        boundary = self._open("related")
        self._pieces.append(_delimiter(boundary))
        self._write_place(kind)
        self._write_attachments(boundary, related)

    def _write_place(self, kind: str) -> None:
        self._indexes[kind] = len(self._pieces)
        self._pieces.append(kind)

    def _write_attachments(self, boundary: str, attachments: list[Attachment]) -> None:
        for attachment in attachments:
            self._pieces.append(b"\r\n" + _delimiter(boundary))
            self._pieces.append(attachment_part(attachment).as_bytes())
        self._pieces.append(b"\r\n" + _closing(boundary))

    def _open(self, kind: str) -> str:
        boundary = _BOUNDARY_START + secrets.token_hex(16)
        line = f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n\r\n'
        self._pieces.append(line.encode("ascii"))
        return boundary


def _delimiter(boundary: str) -> bytes:
    return f"--{boundary}\r\n".encode("ascii")


def _closing(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode("ascii")


def _body(kind: str, text: str) -> bytes:
    """One text part: its fields, a blank line and the encoded text ending in CRLF."""
    encoding, octets = encode_body(text)
    return body_fields(kind, encoding).encode("ascii") + octets


def body_fields(kind: str, encoding: str) -> str:
    """The fields of a text part and the blank line after them."""
    return (
        f'Content-Type: text/{kind}; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )


def encode_body(text: str) -> tuple[str, bytes]:
    """Text as (transfer encoding, octets), lines ending in CRLF, the last one too.

    7bit where the text is ASCII with lines short enough for SMTP; else the smaller of
    quoted-printable and base64, as far as can be told from the length in octets.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.endswith("\n"):
        text += "\n"
    text = text.replace("\n", "\r\n")
    if text.isascii():
        octets = text.encode("ascii")
        longest = max(map(len, octets.split(b"\r\n")))
        if longest <= LONGEST_LINE and b"=_" not in octets:
            return "7bit", octets
        return "quoted-printable", b2a_qp(octets)
    octets = text.encode("utf-8", "replace")
    # Each octet beyond ASCII costs two more in quoted-printable; base64 costs a third.
    if (len(octets) - len(text)) * 11 < len(octets):
        return "quoted-printable", b2a_qp(octets)
    encoded = b2a_base64(octets, newline=False)
    lines = [
        encoded[start : start + _BASE64_COLUMNS]
        for start in range(0, len(encoded), _BASE64_COLUMNS)
    ]
    lines.append(b"")
    return "base64", b"\r\n".join(lines)

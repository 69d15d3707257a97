"""Reading a message that is too large to be held: through a window, a megabyte at a time.

It is the reader that takes anything, over a file. Of attachments their sizes alone are found
out; of texts so much is kept as anybody reads.
"""

from __future__ import annotations

import binascii
import string
from collections.abc import Iterator

from mailhub.mail.octets import PIECE, FileOctets
from mailhub.mail.parsing.body import TNEF_MAGIC, read_body, shown_parts
from mailhub.mail.parsing.header_block import MAXIMUM_HEADER_OCTETS, split_message
from mailhub.mail.parsing.message import (
    ParsedAttachment,
    ParsedMessage,
    describe_attachments,
    embedded_in,
    message_of_tree,
)
from mailhub.mail.parsing.part_tree import (
    MARK,
    QUOTED_PRINTABLE,
    UUENCODE_START,
    UUENCODED,
    Part,
    PlainReader,
    boundary_of,
    decode_uuencoded_lines,
    encoding_name,
    leaves,
    part_from,
)

# Of all texts of a message together; more of HTML is never shown.
MAXIMUM_TEXT_OCTETS = 2 * 1024 * 1024
# Of the images that are shown inside of a text.
MAXIMUM_IMAGE_OCTETS = 8 * 1024 * 1024
_TEXTS = {"text/plain", "text/html"}
_DIGITS = (string.ascii_letters + string.digits + "+/").encode()
_NOT_DIGITS = bytes(sorted(set(range(256)) - set(_DIGITS)))


def parse_large_message(
    whole: FileOctets, *, complete: bool = True, window: int = PIECE
) -> ParsedMessage:
    """What `parse_message` says of it, but for the ends of very long texts.

    `window` is how many octets are looked at together.
    """
    return _LargeMessage(whole, window).parse(complete=complete)


def large_attachment(whole: FileOctets, index: int) -> tuple[ParsedAttachment, Iterator[bytes]]:
    """One attachment and its octets, a piece at a time; IndexError where there is none."""
    return _LargeMessage(whole).attachment(index)


def large_embedded_images(whole: FileOctets) -> dict[str, tuple[str, bytes]]:
    """What `embedded_images` finds in it, up to a few megabytes."""
    return _LargeMessage(whole).images()


class _LargeMessage:
    def __init__(self, whole: FileOctets, window: int = PIECE) -> None:
        beginning = whole.read(0, MAXIMUM_HEADER_OCTETS + PIECE)
        self._fields, rest = split_message(beginning)
        body = whole.after(len(beginning) - len(rest))
        root, encoding = part_from(self._fields, "text/plain")
        boundary = boundary_of(root)
        self._reader = _WindowReader(root, boundary or b"", body, window)
        if boundary is not None:
            self._reader.read()
        if root.is_container and not root.children:
            # A multipart without parts: what is there is shown as it stands.
            root, encoding = Part("text/plain"), ""
        if not root.is_container:
            self._reader.fill(root, encoding, 0, len(body))
        shown = {id(part) for part in shown_parts(root)}
        for part, _ in leaves(root):
            if id(part) not in shown:
                # What was kept of it is not its size.
                part.content = b""
        self._root = root

    def parse(self, *, complete: bool) -> ParsedMessage:
        return message_of_tree(self._fields, self._root, complete=complete)

    def attachment(self, index: int) -> tuple[ParsedAttachment, Iterator[bytes]]:
        body = read_body(self._root)
        if not 0 <= index < len(body.attached):
            raise IndexError(f"the message has {len(body.attached)} attachments, not {index + 1}")
        attached = body.attached[index]
        if attached.part is None:
            # It stood in a text.
            return describe_attachments(body)[index], iter((attached.content,))
        return describe_attachments(body)[index], self._reader.content_of(attached.part)

    def images(self) -> dict[str, tuple[str, bytes]]:
        room = MAXIMUM_IMAGE_OCTETS
        attached = []
        for each in read_body(self._root).attached:
            if each.part is not None and each.content_type.startswith("image/"):
                room -= each.size
                if room >= 0:
                    each.content = b"".join(self._reader.content_of(each.part))
                    attached.append(each)
        return embedded_in(attached)


class _WindowReader(PlainReader):
    """`PlainReader` over a file; contents that are not kept can be had by `content_of`."""

    def __init__(self, root: Part, boundary: bytes, body: FileOctets, window: int) -> None:
        super().__init__(root, boundary, b"")
        self._octets, self._length, self._window = body, len(body), window
        self._room = MAXIMUM_TEXT_OCTETS
        self._places: dict[int, tuple[str, int, int]] = {}

    def marks(self) -> Iterator[tuple[int, int, bytes | None]]:
        position, begins_line = 0, True
        while window := self._octets.read(position, position + self._window):
            end = len(window)
            if position + end < self._length:
                end = window.rfind(b"\n") + 1 or end
            start = 0 if begins_line else window.find(b"\n", 0, end) + 1 or end
            for mark in MARK.finditer(window, start, end):
                yield position + mark.start(), position + mark.end(), mark[1]
            begins_line = window[end - 1] == 0x0A
            position += end

    def next_line(self, position: int) -> int:
        for piece in self._octets.pieces(position, size=self._window):
            newline = piece.find(b"\n")
            if newline >= 0:
                return position + newline + 1
            position += len(piece)
        return self._length

    def piece(self, start: int, end: int) -> bytes:
        """Octets of a header; of one that is too long the beginning."""
        return self._octets.read(start, min(end, start + MAXIMUM_HEADER_OCTETS + PIECE))

    def fill(self, leaf: Part, encoding: str, start: int, end: int) -> None:
        self._places[id(leaf)] = encoding, start, end
        is_text = leaf.content_type in _TEXTS and leaf.disposition != "attachment"
        kept = bytearray()
        room = self._room if is_text else 0
        for piece in self.content_of(leaf):
            if not leaf.told_size and piece.startswith(TNEF_MAGIC):
                leaf.content_type = "application/ms-tnef"
            leaf.told_size += len(piece)
            kept += piece[: max(0, room - len(kept))]
        self._room -= len(kept)
        if len(kept) < leaf.told_size:
            # No character is cut in half at the end of a line.
            del kept[kept.rfind(b"\n") + 1 or len(kept) :]
        leaf.content = bytes(kept)

    def content_of(self, leaf: Part) -> Iterator[bytes]:
        """The decoded octets of a leaf, none of them empty."""
        encoding, start, end = self._places[id(leaf)]
        return filter(None, _decoded(self._octets.pieces(start, end, size=self._window), encoding))


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The octets behind a Content-Transfer-Encoding, as `decode_transfer` has them."""
    encoding = encoding_name(encoding)
    if encoding == "base64":
        return _from_base64(pieces)
    if encoding in QUOTED_PRINTABLE:
        return map(binascii.a2b_qp, _whole_lines(pieces))
    if encoding in UUENCODED:
        return _from_uuencode(pieces)
    return pieces


def _from_base64(pieces: Iterator[bytes]) -> Iterator[bytes]:
    digits = b""
    for piece in pieces:
        first, *others = piece.split(b"=")
        digits += first.translate(None, _NOT_DIGITS)
        for run in others:
            yield _base64_run(digits)
            digits = run.translate(None, _NOT_DIGITS)
        whole = len(digits) // 4 * 4
        yield binascii.a2b_base64(digits[:whole])
        digits = digits[whole:]
    yield _base64_run(digits)


def _base64_run(digits: bytes) -> bytes:
    digits = digits[: len(digits) - 1] if len(digits) % 4 == 1 else digits
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _from_uuencode(pieces: Iterator[bytes]) -> Iterator[bytes]:
    lines = _whole_lines(pieces)
    first = next(lines, b"")
    start = UUENCODE_START.search(first)
    if start is None:
        yield first
        yield from lines
        return
    some: bytes | None = first[start.end() :]
    while some is not None:
        split = some.splitlines()
        yield decode_uuencoded_lines(split)
        some = None if any(line.strip() == b"end" for line in split) else next(lines, None)


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same octets in pieces that end where lines do, unless lines are very long."""
    rest = b""
    for piece in pieces:
        joined = rest + piece
        end = joined.rfind(b"\n") + 1
        if not end and len(joined) > PIECE:
            end = len(joined)
        yield joined[:end]
        rest = joined[end:]
    yield rest

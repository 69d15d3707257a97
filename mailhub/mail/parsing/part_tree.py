"""The body of a message as a tree of parts (RFC 2045, 2046), whatever its shape.

Two readers give the same tree. fast-mail-parser is some twenty times faster but refuses
what is broken (bad base64) or deep (256 levels); the plain reader below takes anything:
it goes through the boundary lines once with a stack of its own, so neither 5,000 levels
nor 10,000 parts trouble it. Parts inside a `message/rfc822` stay inside: a forwarded
message is one attachment.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import fast_mail_parser

from mailhub.mail.parsing.header_block import decode_fields, forgiving_base64, split_message
from mailhub.mail.parsing.structured_fields import read_content_type, read_parameters

QUOTED_PRINTABLE = {"quoted-printable", "quopri"}
# What the fast reader decodes where it is written like this; the rest it leaves as it is.
_DECODED_FAST = {"", "7bit", "8bit", "binary", "base64", "quoted-printable"}
UUENCODED = {"x-uuencode", "uuencode", "x-uue", "uue"}
_STRUCTURAL = {"content-type", "content-disposition", "content-transfer-encoding", "content-id"}
MARK = re.compile(rb"^(?:--([^\r\n]+)|\r?\n)", re.MULTILINE)
_BOUNDARY_END = re.compile(rb"[ \t\v\f]*+(?:--)?[ \t\v\f]*+(?=[\r\n]|\Z)")
UUENCODE_START = re.compile(rb"^begin [0-7]{3,4} [^\r\n]*\r?\n", re.MULTILINE)
_DISPOSITION = re.compile(r"\s*([\w-]+)")
_FEW_BOUNDARIES = 20
# No letter has as many parts; all that follows belongs to the last of them.
MAXIMUM_PARTS = 20_000


@dataclass(slots=True)
class Part:
    """One node: a container with children, or a leaf with its decoded octets.

    `told_size` is the size that a server told of a leaf whose octets were not fetched.
    """

    content_type: str
    parameters: dict[str, str] = field(default_factory=dict)
    disposition: str = ""
    filename: str = ""
    content_id: str = ""
    content: bytes = b""
    children: list[Part] = field(default_factory=list)
    told_size: int = 0

    @property
    def is_container(self) -> bool:
        return self.content_type.startswith("multipart/")


def read_tree(fields: list[tuple[str, bytes]], body: bytes) -> Part:
    """The tree of a message from its header's fields and the octets of its body."""
    root, encoding = part_from(fields, "text/plain")
    if root.is_container:
        return _read_multipart(root, fields, body)
    if encoding_name(encoding) == "base64":
        # The fast reader decodes faster than the standard library does.
        return _read_fast(fields, body) or read_plainly(fields, body)
    root.content = decode_transfer(body, encoding)
    return root


def _read_multipart(root: Part, fields: list[tuple[str, bytes]], body: bytes) -> Part:
    is_huge = len(body) > 5 * MAXIMUM_PARTS and body.count(b"\n--") > MAXIMUM_PARTS
    tree = None if is_huge else _read_fast(fields, body, root)
    if tree is None or not tree.children or _has_look_alike_boundary(tree, body):
        tree = read_plainly(fields, body)
    if not tree.children:
        # A multipart without parts: what is there is shown as it stands.
        return Part("text/plain", content=body)
    return tree


def _read_fast(
    fields: list[tuple[str, bytes]], body: bytes, root: Part | None = None
) -> Part | None:
    """The tree beneath `root` (one of its own without), or None where the reader gives up."""
    lines = [
        name.encode("ascii") + b": " + value.replace(b"\0", b"") + b"\r\n"
        for name, value in _structural_fields(fields)
    ]
    try:
        node = fast_mail_parser.parse_email_tree(b"".join([*lines, b"\r\n", body]))
    except fast_mail_parser.ParseError:
        return None
    except BaseException as error:
        # A panic inside the extension derives from BaseException and has no importable name.
        if type(error).__name__ != "PanicException":
            raise
        return None
    return _from_fast(node, root)


def _has_look_alike_boundary(tree: Part, body: bytes) -> bool:
    """Whether a line starts like a boundary and goes on (`--part` and `--part-alternative`).

    The fast reader takes such a line for the boundary and loses what stands there.
    """
    if not tree.is_container:
        return False
    boundaries = {boundary for part in _containers(tree) if (boundary := boundary_of(part))}
    if len(boundaries) > _FEW_BOUNDARIES:
        # Looking for each would cost more than the reader that need not look.
        return True
    return any(
        _begins_like(boundary, body)
        or any(boundary != other and boundary.startswith(other) for other in boundaries)
        for boundary in boundaries
    )


def _begins_like(boundary: bytes, body: bytes) -> bool:
    """Whether a line begins with the boundary and is neither it nor its end."""
    mark = b"\n--" + boundary
    if body.startswith(mark[1:]) and _BOUNDARY_END.match(body, len(mark) - 1) is None:
        return True
    position = body.find(mark)
    while position >= 0:
        if _BOUNDARY_END.match(body, position + len(mark)) is None:
            return True
        position = body.find(mark, position + len(mark))
    return False


def _containers(root: Part) -> Iterator[Part]:
    stack = [root]
    while stack:
        part = stack.pop()
        if part.is_container:
            yield part
            stack.extend(part.children)


def leaves(root: Part) -> Iterator[tuple[Part, tuple[Part, ...]]]:
    """Every leaf in reading order with its containers, outermost first."""
    stack: list[tuple[Part, tuple[Part, ...]]] = [(root, ())]
    while stack:
        part, above = stack.pop()
        if not part.is_container:
            yield part, above
        # Of a deep pile only the innermost containers decide how a leaf is shown.
        within = (*above[-15:], part)
        stack.extend((child, within) for child in reversed(part.children))


def _structural_fields(fields: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The first of each field that says how the body is built."""
    first: dict[str, tuple[str, bytes]] = {}
    for name, value in fields:
        lowered = name.lower()
        if lowered in _STRUCTURAL:
            first.setdefault(lowered, (name, value))
    return list(first.values())


def _from_fast(root: fast_mail_parser.PyMimePart, top: Part | None) -> Part | None:
    top = top or _convert(root)
    stack = [(root, top)]
    while stack:
        node, part = stack.pop()
        if node.is_message or not part.is_container:
            continue
        for child in node.children:
            if not child.content and _STRUCTURAL.isdisjoint(map(str.lower, child.headers)):
                # Perhaps it has no blank line, and the fast reader took its text for a header.
                return None
            converted = _convert(child)
            part.children.append(converted)
            stack.append((child, converted))
    return top


def _convert(node: fast_mail_parser.PyMimePart) -> Part:
    values = {name.lower(): found[0] for name, found in node.headers.items() if found}
    content = node.content or b""
    encoding = values.get("content-transfer-encoding", "")
    if encoding.lower() not in _DECODED_FAST:
        content = decode_transfer(content, encoding)
    return _describe(values, "message/rfc822" if node.is_message else "text/plain", content)


def _describe(values: dict[str, str], default: str, content: bytes) -> Part:
    told, parameters = read_content_type(values.get("content-type", ""))
    disposition = values.get("content-disposition", "")
    match = _DISPOSITION.match(disposition)
    name = read_parameters(disposition).get("filename", "") if disposition else ""
    return Part(
        content_type=told or default,
        parameters=parameters,
        disposition=match[1].lower() if match else "",
        filename=name or parameters.get("name", ""),
        content_id=values.get("content-id", "").strip().strip("<>").strip(),
        content=content,
    )


class PlainReader:
    """Goes once through the lines that matter: boundaries, and the blank ones that end headers.

    `_open` are the containers whose end has not been reached, outermost first, each with
    its boundary; `_depths` finds a boundary among them.
    """

    def __init__(self, root: Part, boundary: bytes, body: bytes) -> None:
        self._body, self._length = body, len(body)
        self._open = [(root, boundary)]
        self._depths = {boundary: 0}
        self._parts = 0
        self._header_start: int | None = None
        self._leaf: Part | None = None
        self._leaf_start = 0
        self._leaf_encoding = ""

    def read(self) -> None:
        for start, end, boundary in self.marks():
            if boundary is not None:
                self._boundary_line(boundary.rstrip(), start, end)
            elif self._header_start is not None:
                self._end_header(start, end)
            if self._parts >= MAXIMUM_PARTS:
                break
        self._end_piece(self._length)

    def marks(self) -> Iterator[tuple[int, int, bytes | None]]:
        """Where the lines are that matter, and what perhaps is the boundary."""
        for mark in MARK.finditer(self._body):
            yield mark.start(), mark.end(), mark[1]

    def next_line(self, position: int) -> int:
        """Where the line after the one at this place begins."""
        newline = self._body.find(b"\n", position)
        return len(self._body) if newline < 0 else newline + 1

    def piece(self, start: int, end: int) -> bytes:
        """Octets of the body."""
        return self._body[start:end]

    def fill(self, leaf: Part, encoding: str, start: int, end: int) -> None:
        """Give a leaf its content."""
        leaf.content = decode_transfer(self.piece(start, end), encoding)

    def _boundary_line(self, text: bytes, start: int, end: int) -> None:
        closing = False
        if text not in self._depths:
            text, closing = text.removesuffix(b"--").rstrip(), text.endswith(b"--")
            if not closing or text not in self._depths:
                return
        self._end_piece(start)
        depth = self._depths[text]
        for _, boundary in self._open[depth + 1 :]:
            self._depths.pop(boundary, None)
        del self._open[depth + 1 :]
        if not closing:
            self._header_start = self.next_line(end)

    def _end_header(self, end: int, after: int) -> None:
        """Read a part's header; what follows is its content, or its children."""
        start, self._header_start = self._header_start or 0, None
        header = self.piece(start, end)
        fields, _ = split_message(header)
        container, _ = self._open[-1]
        is_digest = container.content_type == "multipart/digest"
        part, encoding = part_from(fields, "message/rfc822" if is_digest else "text/plain")
        container.children.append(part)
        self._parts += 1
        boundary = boundary_of(part)
        if boundary is None or boundary in self._depths:
            self._leaf, self._leaf_encoding = part, encoding
            self._leaf_start = after if fields or not header.strip() else start
            return
        self._depths[boundary] = len(self._open)
        self._open.append((part, boundary))

    def _end_piece(self, end: int) -> None:
        if self._header_start is not None:
            self._end_header(end, end)
        if self._leaf is not None:
            if end < self._length:
                # The line break before a boundary belongs to the boundary.
                tail = self.piece(max(self._leaf_start, end - 2), end)
                end -= len(tail) - len(tail.removesuffix(b"\n").removesuffix(b"\r"))
            self.fill(self._leaf, self._leaf_encoding, self._leaf_start, end)
            self._leaf = None


def read_plainly(fields: list[tuple[str, bytes]], body: bytes) -> Part:
    """The tree by the reader that takes anything; `read_tree` uses it where the fast one fails."""
    root, encoding = part_from(fields, "text/plain")
    boundary = boundary_of(root)
    if boundary is None:
        root.content = decode_transfer(body, encoding)
    else:
        PlainReader(root, boundary, body).read()
    return root


def part_from(fields: list[tuple[str, bytes]], default: str) -> tuple[Part, str]:
    """A part without content from its header, and its transfer encoding; `default` is its type."""
    decoded = decode_fields(_structural_fields(fields))
    values = {name.lower(): value for name, value in decoded}
    return _describe(values, default, b""), values.get("content-transfer-encoding", "")


def boundary_of(part: Part) -> bytes | None:
    if not part.is_container:
        return None
    return part.parameters.get("boundary", "").rstrip().encode("utf-8", "replace") or None


def encoding_name(value: str) -> str:
    return value.partition(";")[0].strip().strip('"').lower()


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """The octets behind a Content-Transfer-Encoding; as they are where it is not known."""
    encoding = encoding_name(encoding)
    if encoding == "base64":
        return forgiving_base64(data)
    if encoding in QUOTED_PRINTABLE:
        return binascii.a2b_qp(data)
    if encoding in UUENCODED:
        return _decode_uuencode(data)
    return data


def _decode_uuencode(data: bytes) -> bytes:
    start = UUENCODE_START.search(data)
    if start is None:
        return data
    return decode_uuencoded_lines(data[start.end() :].splitlines())


def decode_uuencoded_lines(lines: list[bytes]) -> bytes:
    """The octets of uuencoded lines up to `end`; a line that does not decode is left out."""
    decoded = []
    for line in lines:
        if line.strip() == b"end":
            break
        if not line.strip():
            # Read as octets of zero otherwise.
            continue
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            # Old encoders leave rubbish after the last group; the length octet tells what counts.
            length = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
            try:
                decoded.append(binascii.a2b_uu(line[:length]))
            except binascii.Error:
                continue
    return b"".join(decoded)

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

_QUOTED_PRINTABLE = {"quoted-printable", "quopri"}
_UUENCODED = {"x-uuencode", "uuencode", "x-uue", "uue"}
_STRUCTURAL = {"content-type", "content-disposition", "content-transfer-encoding", "content-id"}
_MARK = re.compile(rb"^(?:--([^\r\n]+)|\r?\n)", re.MULTILINE)
_DASHED_LINE = re.compile(rb"^--([^\r\n]+)", re.MULTILINE)
_UUENCODE_START = re.compile(rb"^begin [0-7]{3,4} [^\r\n]*\r?\n", re.MULTILINE)
_DISPOSITION = re.compile(r"\s*([\w-]+)")


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
    tree = _read_fast(fields, body)
    if tree.is_container and not tree.children:
        # A multipart without parts: what is there is shown as it stands.
        return Part("text/plain", content=body)
    return tree


def _read_fast(fields: list[tuple[str, bytes]], body: bytes) -> Part:
    structural = _structural_fields(fields)
    head = b"".join(
        name.encode("ascii") + b": " + value.replace(b"\0", b"") + b"\r\n"
        for name, value in structural
    )
    try:
        node = fast_mail_parser.parse_email_tree(head + b"\r\n" + body)
    except fast_mail_parser.ParseError:
        return read_plainly(fields, body)
    except BaseException as error:
        # A panic inside the extension derives from BaseException and has no importable name.
        if type(error).__name__ != "PanicException":
            raise
        return read_plainly(fields, body)
    tree = _from_fast(node)
    return read_plainly(fields, body) if _has_look_alike_boundary(tree, body) else tree


def _has_look_alike_boundary(tree: Part, body: bytes) -> bool:
    """Whether a line starts like a boundary and goes on (`--part` and `--part-alternative`).

    The fast reader takes such a line for the boundary and loses what stands there.
    """
    boundaries = {_boundary(part) for part in _containers(tree)} - {None}
    lengths = sorted({len(boundary or b"") for boundary in boundaries})
    for line in _DASHED_LINE.finditer(body) if boundaries else ():
        text = line[1].rstrip()
        own = text if text in boundaries else text.removesuffix(b"--").rstrip()
        begins = (text[:length] for length in lengths)
        if any(begin in boundaries and begin != own for begin in begins):
            return True
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
        if name.lower() in _STRUCTURAL:
            first.setdefault(name.lower(), (name, value))
    return list(first.values())


def _from_fast(root: fast_mail_parser.PyMimePart) -> Part:
    top = _convert(root)
    stack = [(root, top)]
    while stack:
        node, part = stack.pop()
        if node.is_message or not part.is_container:
            continue
        for child in node.children:
            converted = _convert(child)
            part.children.append(converted)
            stack.append((child, converted))
    return top


def _convert(node: fast_mail_parser.PyMimePart) -> Part:
    values = {name.lower(): found[0] for name, found in node.headers.items() if found}
    content = node.content or b""
    if values.get("content-transfer-encoding", "").strip().lower() in _UUENCODED:
        content = _decode_uuencode(content)
    return _describe(values, node.content_type.lower(), content)


def _describe(values: dict[str, str], kind: str, content: bytes) -> Part:
    told, parameters = read_content_type(values.get("content-type", ""))
    disposition = values.get("content-disposition", "")
    match = _DISPOSITION.match(disposition)
    name = read_parameters(disposition).get("filename", "") if disposition else ""
    return Part(
        content_type=told or kind or "text/plain",
        parameters=parameters,
        disposition=match[1].lower() if match else "",
        filename=name or parameters.get("name", ""),
        content_id=values.get("content-id", "").strip().strip("<>").strip(),
        content=content,
    )


class _PlainReader:
    """Goes once through the lines that matter: boundaries, and the blank ones that end headers.

    `_open` are the containers whose end has not been reached, outermost first, each with
    its boundary; `_depths` finds a boundary among them.
    """

    def __init__(self, root: Part, boundary: bytes, body: bytes) -> None:
        self._body = body
        self._open = [(root, boundary)]
        self._depths = {boundary: 0}
        self._header_start: int | None = None
        self._leaf: Part | None = None
        self._leaf_start = 0
        self._leaf_encoding = ""

    def read(self) -> None:
        for mark in _MARK.finditer(self._body):
            if mark[1] is not None:
                self._boundary_line(mark[1].rstrip(), mark.start(), mark.end())
            elif self._header_start is not None:
                self._end_header(mark.start(), mark.end())
        self._end_piece(len(self._body))

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
            newline = self._body.find(b"\n", end)
            self._header_start = len(self._body) if newline < 0 else newline + 1

    def _end_header(self, end: int, after: int) -> None:
        """Read a part's header; what follows is its content, or its children."""
        start, self._header_start = self._header_start or 0, None
        header = self._body[start:end]
        fields, _ = split_message(header)
        container, _ = self._open[-1]
        is_digest = container.content_type == "multipart/digest"
        part, encoding = part_from(fields, "message/rfc822" if is_digest else "text/plain")
        container.children.append(part)
        boundary = _boundary(part)
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
            content = self._body[self._leaf_start : end]
            if end < len(self._body):
                # The line break before a boundary belongs to the boundary.
                content = content.removesuffix(b"\n").removesuffix(b"\r")
            self._leaf.content = decode_transfer(content, self._leaf_encoding)
            self._leaf = None


def read_plainly(fields: list[tuple[str, bytes]], body: bytes) -> Part:
    """The tree by the reader that takes anything; `read_tree` uses it where the fast one fails."""
    root, encoding = part_from(fields, "text/plain")
    boundary = _boundary(root)
    if boundary is None:
        root.content = decode_transfer(body, encoding)
    else:
        _PlainReader(root, boundary, body).read()
    return root


def part_from(fields: list[tuple[str, bytes]], default: str) -> tuple[Part, str]:
    """A part without content from its header, and its transfer encoding; `default` is its type."""
    decoded = decode_fields(_structural_fields(fields))
    values = {name.lower(): value for name, value in decoded}
    return _describe(values, default, b""), values.get("content-transfer-encoding", "")


def _boundary(part: Part) -> bytes | None:
    if not part.is_container:
        return None
    return part.parameters.get("boundary", "").rstrip().encode("utf-8", "replace") or None


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """The octets behind a Content-Transfer-Encoding; as they are where it is not known."""
    encoding = encoding.strip().strip('"').lower()
    if encoding == "base64":
        return forgiving_base64(data)
    if encoding in _QUOTED_PRINTABLE:
        return binascii.a2b_qp(data)
    if encoding in _UUENCODED:
        return _decode_uuencode(data)
    return data


def _decode_uuencode(data: bytes) -> bytes:
    start = _UUENCODE_START.search(data)
    if start is None:
        return data
    return decode_uuencoded_lines(data[start.end() :].splitlines())


def decode_uuencoded_lines(lines: list[bytes]) -> bytes:
    """The octets of uuencoded lines up to `end`; a line that does not decode is left out."""
    decoded = []
    for line in lines:
        if line.strip() == b"end":
            break
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

"""BODYSTRUCTURE (RFC 9051 section 7.5.2) → the tree of a message's parts, before any is fetched.

The tree is of the kind that the parser makes from whole messages, so one rule says what
is text and what is attached, and the text alone can be fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailhub.mail.parsing.body import shown_parts
from mailhub.mail.parsing.part_tree import Part, leaves, part_from
from mailhub.mail.stores.imap_responses import Item, read_number

# The places of a single part's fields, and where extension data may begin.
_PARAMETERS, _ID, _ENCODING, _OCTETS, _EXTENSIONS = 2, 3, 5, 6, 7
# Base64 in lines of 76 characters and what ends them (RFC 2045 section 6.8).
_BASE64_LINE, _LINE_END = 78, 2


@dataclass(slots=True)
class OutlinedPart(Part):
    """A part by its section number (`1.2`), with its transfer encoding and encoded size."""

    section: str = ""
    encoding: str = ""
    octets: int = 0


def read_structure(structure: list[Item]) -> OutlinedPart | None:
    """The tree, or None for a structure that cannot be read."""
    if not structure:
        return None
    root = _part(structure, "1")
    stack = [(root, structure, "")]
    while stack:
        container, items, section = stack.pop()
        children = [item for item in _leading_lists(items) if item]
        for number, child in enumerate(children, start=1):
            part = _part(child, f"{section}.{number}".lstrip("."))
            container.children.append(part)
            stack.append((part, child, part.section))
    # A multipart without parts, or with an empty one that the server made up for it, has to
    # be looked at as it stands.
    octets = [part.octets for part, _ in leaves(root) if isinstance(part, OutlinedPart)]
    return root if not root.is_container or any(octets) else None


def text_sections(root: Part) -> list[OutlinedPart]:
    """The leaves whose octets make the text of the message."""
    return [part for part in shown_parts(root) if isinstance(part, OutlinedPart)]


def _leading_lists(items: list[Item]) -> list[list[Item]]:
    found = []
    for item in items:
        if not isinstance(item, list):
            break
        found.append(item)
    return found


def _part(items: list[Item], section: str) -> OutlinedPart:
    if isinstance(items[0], list):
        return _multipart(items, section)
    kind = _text(items[0]).lower() + b"/" + _text(_at(items, 1)).lower()
    disposition = _disposition(items[_EXTENSIONS:])
    fields = [
        ("content-type", kind + _parameters(_at(items, _PARAMETERS))),
        ("content-id", _text(_at(items, _ID))),
        ("content-transfer-encoding", _text(_at(items, _ENCODING))),
        ("content-disposition", disposition),
    ]
    described, encoding = part_from([field for field in fields if field[1]], "text/plain")
    size = read_number(_at(items, _OCTETS))
    is_base64 = encoding.strip().lower() == "base64"
    return OutlinedPart(
        content_type=described.content_type,
        parameters=described.parameters,
        disposition=described.disposition,
        filename=described.filename,
        content_id=described.content_id,
        section=section,
        encoding=encoding,
        octets=size,
        told_size=_decoded(size) if is_base64 else size,
    )


def _decoded(size: int) -> int:
    """What so much base64 decodes to; up to two octets too many, since its padding is not seen.

    The last line may have an end or none: groups are of four characters, which tells.
    """
    return (size - size // _BASE64_LINE * _LINE_END) // 4 * 3


def _multipart(items: list[Item], section: str) -> OutlinedPart:
    subtype = next((item for item in items if isinstance(item, bytes)), b"mixed")
    described, _ = part_from([("content-type", b"multipart/" + subtype.lower())], "text/plain")
    return OutlinedPart(content_type=described.content_type, section=section)


def _at(items: list[Item], position: int) -> Item:
    return items[position] if position < len(items) else None


def _text(item: Item) -> bytes:
    return item if isinstance(item, bytes) else b""


def _parameters(item: Item) -> bytes:
    """Names and values as they would stand in a header field."""
    if not isinstance(item, list):
        return b""
    pairs = zip(item[::2], item[1::2], strict=False)
    return b"".join(
        b"; " + name + b'="' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        for name, value in pairs
        if isinstance(name, bytes) and isinstance(value, bytes)
    )


def _disposition(extensions: list[Item]) -> bytes:
    """A word and its parameters: no other field of a part looks like that.

    Some servers give the field as it stands in the header.
    """
    for item in extensions:
        if isinstance(item, bytes) and item.lower().startswith((b"attachment", b"inline")):
            return item
        if isinstance(item, list) and len(item) == 2 and isinstance(item[0], bytes):
            word, parameters = item
            if parameters is None or isinstance(parameters, list):
                return _text(word) + _parameters(parameters)
    return b""

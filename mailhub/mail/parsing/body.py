"""Which parts of a message are its text, its HTML and its attachments.

The rule is that of RFC 8621 section 4.1.4: text parts shown inline are the body, all else
is attached. Inside `multipart/alternative` a part counts for its own view alone; outside
of it (a footer added by a mailing list) it counts for both.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field

from mailhub.mail.parsing.charsets import decode_text
from mailhub.mail.parsing.flowed import extract_uuencoded, unflow
from mailhub.mail.parsing.html_text import MAXIMUM_CHARACTERS, text_of_html
from mailhub.mail.parsing.part_tree import Part, leaves

_TNEF_MAGIC = b"\x78\x9f\x3e\x22"
_TNEF_TYPES = {"application/ms-tnef", "application/vnd.ms-tnef"}


@dataclass(slots=True)
class Attached:
    """An attachment with its octets, before its name is made safe.

    `told_size` is its size where the octets were not fetched.
    """

    name: str
    content_type: str
    content: bytes
    content_id: str = ""
    inline: bool = False
    told_size: int = 0

    @property
    def size(self) -> int:
        """In decoded octets."""
        return len(self.content) or self.told_size


@dataclass(slots=True)
class Body:
    """`text` holds what HTML says where the message has no text of its own."""

    text: str = ""
    html: str = ""
    attached: list[Attached] = field(default_factory=list)


@dataclass(slots=True)
class _Views:
    """The pieces of both views in reading order; True marks one in its own format."""

    text: list[tuple[bool, str]] = field(default_factory=list)
    html: list[tuple[bool, str]] = field(default_factory=list)


def read_body(root: Part) -> Body:
    """The body of a tree of parts."""
    views, body = _Views(), Body()
    for part, above in leaves(root):
        if _is_shown(part, above):
            _show(part, above, views, body)
        else:
            body.attached.append(_attach(part))
    body.text = _text_view(views)
    body.html = _html_view(views)
    return body


def shown_parts(root: Part) -> list[Part]:
    """The leaves that the body is made of; all others are attachments."""
    return [part for part, above in leaves(root) if _is_shown(part, above)]


def _is_shown(part: Part, above: tuple[Part, ...]) -> bool:
    if part.content_type not in {"text/plain", "text/html"} or part.disposition == "attachment":
        return False
    if not above or above[-1].children[0] is part:
        return True
    return above[-1].content_type != "multipart/related" and not part.filename


def _show(part: Part, above: tuple[Part, ...], views: _Views, body: Body) -> None:
    text = decode_text(part.content, part.parameters.get("charset"))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    alone = any(container.content_type == "multipart/alternative" for container in above)
    if part.content_type == "text/html":
        views.html.append((True, text))
        if not alone:
            views.text.append((False, text))
        return
    if part.parameters.get("format", "").lower() == "flowed":
        text = unflow(text, delete_space=part.parameters.get("delsp", "").lower() == "yes")
    text, files = extract_uuencoded(text)
    body.attached += [Attached(name, "application/octet-stream", octets) for name, octets in files]
    views.text.append((True, text))
    if not alone:
        views.html.append((False, text))


def _text_view(views: _Views) -> str:
    pieces = views.text or [(False, text) for own, text in views.html if own]
    room = MAXIMUM_CHARACTERS
    shown = []
    for own, text in pieces:
        shown.append(text if own else text_of_html(text[:room]))
        room -= 0 if own else min(room, len(text))
    return "\n\n".join(piece for piece in shown if piece.strip()).strip("\n")


def _html_view(views: _Views) -> str:
    if not any(own for own, _ in views.html):
        return ""
    shown = [
        text if own else f'<div style="white-space: pre-wrap">{html.escape(text)}</div>'
        for own, text in views.html
        if text.strip()
    ]
    return "\n".join(shown).strip()


def _attach(part: Part) -> Attached:
    kind = part.content_type
    if kind in _TNEF_TYPES or part.content.startswith(_TNEF_MAGIC):
        kind = "application/ms-tnef"
    return Attached(
        name=part.filename,
        content_type=kind,
        content=part.content,
        content_id=part.content_id,
        inline=part.disposition != "attachment"
        and (part.disposition == "inline" or bool(part.content_id)),
        told_size=part.told_size,
    )

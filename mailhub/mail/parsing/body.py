"""Which parts of a message are its text, its HTML and its attachments.

The rule is that of RFC 8621 section 4.1.4: text parts shown inline are the body, all else
is attached. Inside `multipart/alternative` a part counts for its own view alone; outside
of it (a footer added by a mailing list) it counts for both.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

from mailhub.mail.parsing.charsets import decode_text
from mailhub.mail.parsing.flowed import extract_uuencoded, unflow
from mailhub.mail.parsing.html_text import MAXIMUM_CHARACTERS, text_of_html
from mailhub.mail.parsing.part_tree import Part, leaves

TNEF_MAGIC = b"\x78\x9f\x3e\x22"
_META_CHARSET = re.compile(
    rb"<meta\b[^>]{0,200}?charset=[\"']?([A-Za-z0-9_.:+-]{1,40})", re.IGNORECASE
)
_BYTE_ORDER_MARK = "\ufeff"
_TNEF_TYPES = {"application/ms-tnef", "application/vnd.ms-tnef"}


@dataclass(slots=True)
class Attached:
    """An attachment with its octets, before its name is made safe.

    `told_size` is its size where the octets were not fetched, or not all kept. `part` is where
    it comes from, None for what stood in a text.
    """

    name: str
    content_type: str
    content: bytes
    content_id: str = ""
    inline: bool = False
    told_size: int = 0
    part: Part | None = None

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
    """The pieces of both views in reading order; True marks one in its own format.

    `has_text` says that some text is not blank.
    """

    text: list[tuple[bool, str]] = field(default_factory=list)
    html: list[tuple[bool, str]] = field(default_factory=list)
    has_text: bool = False


def read_body(root: Part, *, with_html: bool = True) -> Body:
    """The body of a tree of parts; `html` is left empty where it is not wanted."""
    views, body = _Views(), Body()
    for part, above in leaves(root):
        if not _is_shown(part, above):
            body.attached.append(_attach(part))
        elif with_html or not (views.has_text and _is_other_view(part, above)):
            _show(part, above, views, body)
    body.text = _text_view(views)
    if with_html:
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


def _charset_in_html(part: Part) -> str | None:
    found = (
        _META_CHARSET.search(part.content, 0, 2_000) if part.content_type == "text/html" else None
    )
    return found[1].decode("ascii") if found else None


def _is_other_view(part: Part, above: tuple[Part, ...]) -> bool:
    """Whether the part is the HTML of what stands as text beside it."""
    return part.content_type == "text/html" and _is_alternative(above)


def _is_alternative(above: tuple[Part, ...]) -> bool:
    return any(container.content_type == "multipart/alternative" for container in above)


def _show(part: Part, above: tuple[Part, ...], views: _Views, body: Body) -> None:
    charset = part.parameters.get("charset")
    guess = None if charset else _charset_in_html(part)
    text = decode_text(part.content, charset, guess).removeprefix(_BYTE_ORDER_MARK)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    alone = _is_alternative(above)
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
    views.has_text = views.has_text or bool(text and not text.isspace())
    if not alone:
        views.html.append((False, text))


def _text_view(views: _Views) -> str:
    """The text, or what the HTML says where there is none or it is blank."""
    return _joined(views.text) or _joined([(False, text) for own, text in views.html if own])


def _joined(pieces: list[tuple[bool, str]]) -> str:
    room = MAXIMUM_CHARACTERS
    shown = []
    for own, text in pieces:
        shown.append(text if own else text_of_html(text[:room]))
        room -= 0 if own else min(room, len(text))
    return "\n\n".join(piece for piece in shown if piece and not piece.isspace()).strip("\n")


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
    if kind in _TNEF_TYPES or part.content.startswith(TNEF_MAGIC):
        kind = "application/ms-tnef"
    return Attached(
        name=part.filename,
        content_type=kind,
        content=part.content,
        content_id=part.content_id,
        inline=part.disposition != "attachment"
        and (part.disposition == "inline" or bool(part.content_id)),
        told_size=part.told_size,
        part=part,
    )

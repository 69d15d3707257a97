"""A campaign's message compiled once and rendered for each recipient."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from time import time
from typing import Any

from mailhub.mail.addresses import Address
from mailhub.mail.headers import (
    CRLF,
    address_field,
    check_header_name,
    check_message_id,
    extra_field,
    text_field,
)
from mailhub.mail.merge.language import CompiledText, Variables, compile_text
from mailhub.mail.merge.plain_text import derive_text
from mailhub.mail.merge.skeleton import Skeleton
from mailhub.mail.merge.stencil import Stencil, cut
from mailhub.mail.merge.styles import inline_styles
from mailhub.mail.message import Attachment, make_message_id
from mailhub.mail.transports.octets import Content

_BREAKS = re.compile(r"[\r\n\0]+")


@dataclass(frozen=True, slots=True)
class Preview:
    """What one recipient would see."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class MergeTemplate:
    """Made by `compile`; immutable, to be used from any thread."""

    subject: CompiledText
    html: CompiledText
    text: CompiledText
    headers: tuple[tuple[str, CompiledText], ...]
    sender: Address
    fixed_head: str
    skeleton: Skeleton
    stencil: Stencil | None

    @classmethod
    def compile(
        cls,
        *,
        subject: str,
        html: str = "",
        text: str = "",
        headers: Mapping[str, str] | None = None,
        sender: Address,
        reply_to: Sequence[Address] = (),
        attachments: Sequence[Attachment] = (),
    ) -> MergeTemplate:
        """Compile all fields; a missing text is derived from the HTML, styles are inlined.

        `headers` are extra fields whose values are templates. Raises TemplateError for a
        field that cannot be compiled, InvalidMessage for a header that is not allowed.
        """
        compiled_html = _compile_html(html)
        compiled_headers = tuple(
            (check_header_name(name), compile_text(value, name))
            for name, value in (headers or {}).items()
        )
        head = [address_field("From", [sender])]
        if reply_to:
            head.append(address_field("Reply-To", reply_to))
        head.append(
            "".join(_field(name, each, {}) for name, each in compiled_headers if each.is_static)
        )
        text = text or derive_text(html)
        compiled_text = compile_text(text, "text")
        skeleton = Skeleton(
            has_text=bool(text), has_html=bool(html), attachments=tuple(attachments)
        )
        return cls(
            subject=compile_text(subject, "subject"),
            html=compiled_html,
            text=compiled_text,
            headers=tuple(pair for pair in compiled_headers if not pair[1].is_static),
            sender=sender,
            fixed_head="".join(head),
            skeleton=skeleton,
            stencil=cut(
                skeleton, {"plain": compiled_text.segments, "html": compiled_html.segments}
            ),
        )

    @property
    def variables(self) -> frozenset[str]:
        """All dotted names that the template reads, as far as they are known beforehand."""
        return frozenset().union(*(each.variables for each in self._compiled))

    @property
    def is_plain(self) -> bool:
        """Whether it has nothing but plain placeholders: `variables` are all that it reads then."""
        return all(each.is_plain for each in self._compiled)

    @property
    def _compiled(self) -> tuple[CompiledText, ...]:
        return (self.subject, self.html, self.text, *(each for _, each in self.headers))

    def render(self, recipient: Address, variables: Variables, **more: Any) -> bytes:
        """The octets of what `make` makes."""
        return bytes(self.make(recipient, variables, **more))

    def make(
        self,
        recipient: Address,
        variables: Variables,
        *,
        headers: Mapping[str, str] | None = None,
        own_fields: str = "",
        message_id: str = "",
        date: float | None = None,
    ) -> Content:
        """The whole message for one recipient, ready for SMTP: CRLF, 7-bit.

        `headers` are further fields for this recipient, taken as they are; `own_fields` are
        complete lines that the caller has made itself, not checked again; `message_id`
        (with angle brackets) is made where it is missing; `date` is in seconds since 1970
        and defaults to now. Raises TemplateError where a value cannot be rendered and
        InvalidMessage for a header that is not allowed.
        """
        head = [
            self.fixed_head,
            address_field("To", (recipient,)),
            text_field("Subject", collapse_breaks(self.subject.render(variables))),
            f"Date: {_date(date)}\r\nMessage-ID: ",
            check_message_id(message_id) if message_id else make_message_id(self.sender.domain),
            CRLF,
            own_fields,
        ]
        for name, compiled in self.headers:
            head.append(_field(name, compiled, variables))
        for name, value in (headers or {}).items():
            head.append(extra_field(name, value))
        written = "".join(head)
        if self.stencil is not None:
            message = self.stencil.fill(written, variables)
            if message is not None:
                return self.skeleton.finish(message)
        return self.skeleton.fill(
            written.encode("utf-8"), self.text.render(variables), self.html.render(variables)
        )


def render_preview(
    *, subject: str, html: str = "", text: str = "", variables: Variables
) -> Preview:
    """What a recipient with these variables would see.

    Raises TemplateError for a syntax error and for a variable that is not known and has
    no default.
    """
    return Preview(
        subject=collapse_breaks(compile_text(subject, "subject").render_strictly(variables)),
        html=_compile_html(html).render_strictly(variables),
        text=compile_text(text or derive_text(html), "text").render_strictly(variables),
    )


def _compile_html(html: str) -> CompiledText:
    """What is wrong is told of the source; what is sent has its styles in its elements."""
    compiled = compile_text(html, "html", html=True)
    inlined = inline_styles(html)
    return compiled if inlined == html else compile_text(inlined, "html", html=True)


def collapse_breaks(value: str) -> str:
    """CR, LF and NUL to one space: a value can never start a header line of its own."""
    return _BREAKS.sub(" ", value) if _BREAKS.search(value) else value


def _field(name: str, compiled: CompiledText, variables: Variables) -> str:
    value = collapse_breaks(compiled.render(variables))
    return extra_field(name, value.encode("utf-8", "replace").decode())


_last_date: tuple[int, str] = (0, "")


def _date(seconds: float | None) -> str:
    """RFC 5322 date in UTC, made once a second."""
    global _last_date  # noqa: PLW0603 - a cache of one value; a race costs a repeated format
    now = int(time() if seconds is None else seconds)
    known, text = _last_date
    if known != now:
        text = format_datetime(datetime.fromtimestamp(now, UTC))
        _last_date = (now, text)
    return text

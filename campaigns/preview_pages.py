"""A message as its reader will see it, as a page for a frame of this site that can do nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from django.http import HttpResponse
from django.utils.html import escape

from mailhub.mail.message import Attachment

_ALONE = (
    "default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline'; sandbox; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_INLINE = re.compile(r"\bcid:([^\"'\s)>]+)")
_LONGEST_SOURCE = 400_000
_STYLE = (
    "html{color-scheme:light;background:#fff;color:#1a2029}body{margin:16px;"
    "font:15px/24px system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',sans-serif}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere}.code{font:13px/20px monospace}"
    ".bad{color:#b3261e}"
)


def show_html(html: str, files: Iterable[Attachment]) -> HttpResponse:
    """The HTML as it is sent, with the images that it brings along."""
    images = {
        each.content_id: _data_url(each)
        for each in files
        if each.related and each.content_type.startswith("image/")
    }
    return _framed(_INLINE.sub(lambda found: images.get(found[1], found[0]), html))


def show_text(text: str) -> HttpResponse:
    """The text part."""
    return _framed(_page("Text", f"<pre>{escape(text)}</pre>"))


def show_source(raw: bytes) -> HttpResponse:
    """The message on the wire; of a large one the beginning."""
    source = raw[:_LONGEST_SOURCE].decode("ascii", "replace")
    return _framed(_page("Source", f'<pre class="code">{escape(source)}</pre>'))


def show_problem(words: str) -> HttpResponse:
    """Why it cannot be shown."""
    return _framed(_page("Preview", f'<p class="bad">{escape(words)}</p>'))


def _data_url(file: Attachment) -> str:
    return f"data:{file.content_type};base64,{base64.b64encode(file.content).decode()}"


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def _framed(html: str) -> HttpResponse:
    return _guard(HttpResponse(html))


def _guard(response: HttpResponse) -> HttpResponse:
    response["Content-Security-Policy"] = _ALONE
    response["Referrer-Policy"] = "no-referrer"
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response

"""A stranger's octets as answers that cannot act in the name of this site."""

from __future__ import annotations

import html as html_escapes
from collections.abc import Iterable, Iterator

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from mailboxes.models import Message
from mailboxes.reading import raw_message, safe_html
from mailhub.errors import NotFound
from mailhub.mail.octets import LARGE, FileOctets, whole_of
from mailhub.mail.parsing import open_attachment, parse_message

_ALONE = "default-src 'none'; sandbox"
_PAGE = (
    "default-src 'none'; img-src data: {remote}; style-src 'unsafe-inline'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
# Mail is written for white paper, whatever the scheme of the page around it.
_STYLE = (
    "html{color-scheme:light;background:#fff;color:#1a2029}"
    "body{margin:16px;font:15px/24px system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Liberation Sans',sans-serif;overflow-wrap:break-word}"
    "img{max-width:100%;height:auto}table{max-width:100%}pre{white-space:pre-wrap;font:inherit}"
    "blockquote{margin:0 0 0 8px;padding-left:12px;border-left:2px solid #d9dee5}"
)


def whole_octets(message: Message) -> HttpResponseBase:
    """The message as its server holds it, to be saved. Raises what `raw_message` does."""
    raw = whole_of(raw_message(message))
    pieces = raw.pieces() if isinstance(raw, FileOctets) else iter((raw,))
    return _download(pieces, len(raw), "message/rfc822", f"message-{message.pk}.eml")


def attached_octets(message: Message, index: int) -> HttpResponseBase:
    """The decoded octets of an attachment, to be saved.

    Raises NotFound where there is none, else what `raw_message` does.
    """
    try:
        described, pieces = open_attachment(raw_message(message), index)
    except IndexError as error:
        raise NotFound("The message has no such attachment.") from error
    return _download(pieces, described.size, described.content_type, described.filename)


def streamed_octets(
    stretches: Iterable[bytes], size: int, content_type: str, filename: str
) -> StreamingHttpResponse:
    """A file that is read as it is sent, to be saved."""
    response = StreamingHttpResponse(stretches, content_type=content_type)
    response["Content-Length"] = str(size)
    _guard_download(response, filename)
    return response


def framed_page(message: Message, *, remote_content: bool = False) -> HttpResponse:
    """The message's HTML, else its text, as a page for a frame of this site.

    `remote_content` lets images load from elsewhere. Raises what `raw_message` does.
    """
    raw = raw_message(message)
    parsed = parse_message(raw)
    body = safe_html(parsed, raw, remote_content=remote_content)
    body = body or f"<pre>{html_escapes.escape(parsed.text)}</pre>"
    response = HttpResponse(
        '<!doctype html><html lang="und"><head><meta charset="utf-8"><title>Message</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    sources = "https: http:" if remote_content else ""
    response["Content-Security-Policy"] = _PAGE.format(remote=sources)
    response["Referrer-Policy"] = "no-referrer"
    response["X-Frame-Options"] = "SAMEORIGIN"
    _keep_private(response)
    return response


def _download(
    pieces: Iterator[bytes], size: int, content_type: str, filename: str
) -> HttpResponseBase:
    if size > LARGE:
        return streamed_octets(pieces, size, content_type, filename)
    response = HttpResponse(b"".join(pieces), content_type=content_type)
    _guard_download(response, filename)
    return response


def _guard_download(response: HttpResponseBase, filename: str) -> None:
    disposition = content_disposition_header(as_attachment=True, filename=filename)
    response["Content-Disposition"] = disposition or "attachment"
    response["Content-Security-Policy"] = _ALONE
    _keep_private(response)


def _keep_private(response: HttpResponseBase) -> None:
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"

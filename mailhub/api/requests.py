"""What happens to each request before and after its view: limits, addresses, one log line."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect
from django.urls import is_valid_path
from django.utils.http import escape_leading_slashes

from mailhub.api.errors import refuse, wants_json
from mailhub.errors import InvalidInput, MailhubError, TooLarge
from mailhub.logs import get_logger
from mailhub.numbers import whole_number

GetResponse = Callable[[HttpRequest], HttpResponseBase]
log = get_logger("mailhub.requests")

_UPLOADS = re.compile(r"^/(?:(?:api|v1)/contacts/import|contacts/import)/?$")
_MOST_DRAINED = 128 * 1024 * 1024


class LengthRequired(MailhubError):
    """Django reads no body without a length, and would take it for an empty one."""

    status = 411
    code = "length_required"


class RequestLogMiddleware:
    """One line a request: method, path without its query, status, milliseconds."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.monotonic()
        response = self.get_response(request)
        if request.path_info not in ("/healthz", "/readyz"):
            log.info(
                "request",
                method=request.method,
                path=_without_secrets(request.path_info),
                status=response.status_code,
                ms=round((time.monotonic() - started) * 1000),
            )
        return response


def _without_secrets(path: str) -> str:
    """Public links (/u/TOKEN, /o/…, /c/…) carry their right in the path, others a person's address.

    A log would keep what was erased.
    """
    public = re.sub(r"^/(u|o|c|confirm|preferences)/[^/]+", r"/\1/…", path)
    return re.sub(r"[^/]*@[^/]*", "…@…", public)


def declared_length(meta: Mapping[str, Any]) -> int:
    """The octets of a body as the head of its request says; 0 where it says nothing of sense."""
    # The first digits of an endless number are too many already.
    return whole_number((meta.get("CONTENT_LENGTH") or "")[:18]) or 0


class BodyLimitMiddleware:
    """Refuses a body that is too large by its declared length, before it is read whole.

    Up to 128 MB of it are read and thrown away, so that a client that writes first and
    listens afterwards still hears the answer.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        upload = _UPLOADS.match(request.path_info)
        limit = settings.MAILHUB_UPLOAD_LIMIT if upload else settings.MAILHUB_JSON_BODY_LIMIT
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            return refuse(request, LengthRequired("Send the body with a Content-Length."))
        length = declared_length(request.META)
        if length <= limit:
            return self.get_response(request)
        left = min(length, _MOST_DRAINED)
        with suppress(OSError):  # the client may leave meanwhile
            while left > 0 and (chunk := request.read(min(left, 1 << 16))):
                left -= len(chunk)
        largest = f"{limit // (1024 * 1024)} MB"
        return refuse(request, TooLarge(f"What was sent is larger than {largest}."))


class NulGuardMiddleware:
    """Refuses a NUL in path or query: no name has one, and PostgreSQL takes none."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\x00" in request.path_info:
            return refuse(request, InvalidInput("The path holds a NUL character."))
        if "%00" in request.META.get("QUERY_STRING", ""):
            return refuse(request, InvalidInput("The query behind the ? holds a NUL character."))
        return self.get_response(request)


class TrailingSlashMiddleware:
    """`/api/accounts/` is `/api/accounts`; from `/mail/` a browser is sent to `/mail`.

    The admin's addresses end in a slash: from `/admin` one is sent to `/admin/`.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if wants_json(request) and request.path_info.endswith("/") and len(request.path_info) > 5:
            request.path_info = request.path_info.rstrip("/")
            request.path = request.path.rstrip("/")
        response = self.get_response(request)
        if response.status_code == HTTPStatus.NOT_FOUND and request.method in ("GET", "HEAD"):
            return _other_address(request) or response
        return response


def _other_address(request: HttpRequest) -> HttpResponseBase | None:
    """The way to the page that lies there with a slash more or less, where there is one."""
    path = request.path_info
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    if wants_json(request) or is_valid_path(path) or not is_valid_path(other):
        return None
    query = request.META.get("QUERY_STRING", "")
    # Two slashes at the beginning would lead to another host.
    address = escape_leading_slashes(request.path.removesuffix(path) + quote(other))
    return HttpResponsePermanentRedirect(f"{address}?{query}" if query else address)

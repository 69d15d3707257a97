"""CSV files as answers of the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request


class CsvMixin:
    """A view whose files are asked for with `Accept: text/csv`, and whose errors are JSON."""

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        negotiated: Any = super()
        if wants_csv(request):
            return JSONRenderer(), JSONRenderer.media_type
        found: tuple[BaseRenderer, str] = negotiated.perform_content_negotiation(request, force)
        return found


def wants_csv(request: Request) -> bool:
    """Whether the client asks for a CSV file first of all."""
    return request.headers.get("Accept", "").strip().lower().startswith("text/csv")


def as_csv_file(name: str, lines: Iterable[str]) -> StreamingHttpResponse:
    """A download that is written while it is read."""
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )

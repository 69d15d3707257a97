"""Pages that belong to the house and to no app."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from mailhub.api.errors import json_error, wants_json


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django names it
    """404 in the API's shape under /api/, as a page elsewhere."""
    if wants_json(request):
        return json_error("not_found", "There is nothing here.", 404)
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 in the API's shape under /api/, as a page elsewhere."""
    if wants_json(request):
        return json_error("internal_error", "Something went wrong here.", 500)
    return render(request, "500.html", status=500)

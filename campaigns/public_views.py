"""Links of a campaign's messages: no login and no cookie, the link speaks for the recipient."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.encoding import iri_to_uri
from django.views.decorators.http import require_safe

from campaigns.links.counting import count_click, count_open, find_click
from campaigns.links.leaving import find_leaver, has_left, leave_all
from contacts.preferences import preferences_path
from contacts.public_views import keep_private, public_page
from mailhub.logs import get_logger

log = get_logger(__name__)

# One transparent pixel.
_IMAGE = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


@public_page
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET asks and changes nothing; POST, by a mail program (RFC 8058) or the form, unsubscribes.

    What the body says does not matter, so it is not read.
    """
    leaver = find_leaver(token)
    if leaver is None:
        return render(request, "contacts/public/unknown.html", status=404)
    if request.method == "POST":
        leave_all(leaver)
    context = {
        "leaver": leaver,
        "tenant": leaver.tenant,
        "has_left": has_left(leaver),
        "was_asked": request.method == "POST",
        "preferences": preferences_path(leaver.contact.pk) if leaver.contact else "",
    }
    return render(request, "campaigns/public/unsubscribe.html", context)


@require_safe
def open_image(request: HttpRequest, token: str) -> HttpResponse:
    """A pixel, whatever the token; an open where it is one of ours."""
    if request.method == "GET":
        _count(lambda: count_open(token, request.headers))
    return keep_private(HttpResponse(_IMAGE, content_type="image/gif"))


@require_safe
def follow_link(request: HttpRequest, token: str) -> HttpResponse:
    """On to where the campaign's own link leads, and nowhere else."""
    click = find_click(token)
    if click is None:
        return render(request, "contacts/public/unknown.html", status=404)
    if request.method == "GET":
        _count(lambda: count_click(click, request.headers))
    return keep_private(HttpResponse(status=302, headers={"Location": iri_to_uri(click.target)}))


def _count(count: Callable[[], None]) -> None:
    """A database that is busy holds nobody up on the way."""
    try:
        count()
    except DatabaseError as error:
        log.warning("an open or a click was not counted", error=str(error))

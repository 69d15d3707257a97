"""What of a message is shown in a frame, saved, or looked at as it came."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.pages import PageRequest, page
from mailboxes.models import Message
from mailboxes.pages.conversations import error_words
from mailboxes.reading import raw_message
from mailboxes.serving import attached_octets, framed_page, whole_octets
from mailhub.errors import MailhubError, NotFound
from mailhub.mail.errors import MailError
from mailhub.mail.octets import whole_of
from mailhub.mail.parsing.charsets import decode_text

LONGEST_SOURCE = 500_000


@require_safe
@page(scope="mail")
def show_body(request: PageRequest, message_id: int) -> HttpResponse:
    """The page inside the frame; `?images=1` lets it load images from elsewhere."""
    message = _find(request, message_id)
    try:
        return framed_page(message, remote_content=request.GET.get("images") == "1")
    except (MailError, MailhubError) as error:
        # An error page of the site itself may stand in no frame.
        return HttpResponse(error_words(error), content_type="text/plain; charset=utf-8")


@require_safe
@page(scope="mail")
def show_source(request: PageRequest, message_id: int) -> HttpResponse:
    """The message as it came, or the beginning of a long one."""
    message = _find(request, message_id)
    raw = raw_message(message)
    context = {
        "message": message,
        "source": decode_text(raw[:LONGEST_SOURCE]),
        "is_cut": len(whole_of(raw)) > LONGEST_SOURCE,
    }
    return render(request, "mailboxes/source.html", context)


@require_safe
@page(scope="mail")
def download_message(request: PageRequest, message_id: int) -> HttpResponseBase:
    """All its octets, to be saved."""
    return whole_octets(_find(request, message_id))


@require_safe
@page(scope="mail")
def download_attachment(request: PageRequest, message_id: int, index: int) -> HttpResponseBase:
    """An attachment, to be saved."""
    return attached_octets(_find(request, message_id), index)


def _find(request: PageRequest, message_id: int) -> Message:
    rows = Message.objects.for_caller(request.caller).visible().filter(pk=message_id)
    found = rows.select_related("account__credential").defer("text").first()
    if found is None:
        raise NotFound("There is no such message.")
    return found

"""Writing a message: a draft that saves itself, sent now or later, and taken back in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import EmailAccount
from accounts.pages import PageRequest, page
from mailboxes.composing import sending_accounts
from mailboxes.drafts.files import file_stretches
from mailboxes.drafts.people import people_written_to
from mailboxes.drafts.saving import detach, discard
from mailboxes.drafts.sending import send_draft, take_back
from mailboxes.models import Draft, OutboxMessage
from mailboxes.pages.acting import next_address
from mailboxes.pages.compose_form import (
    ComposeForm,
    begin_form,
    form_of,
    offered_files,
    save_form,
    typed_form,
    typed_person,
)
from mailboxes.pages.conversations import error_words
from mailboxes.pages.delivery_lists import is_moving
from mailboxes.serving import streamed_octets
from mailhub.errors import Conflict, InvalidInput, MailhubError, NotFound
from mailhub.mail.errors import MailError
from mailhub.numbers import whole_number

_METHODS = ["GET", "HEAD", "POST"]
_FIELDS = {"replyTo": "to"}


@require_http_methods(_METHODS)
@page(scope="mail", writes=True)
def compose(request: PageRequest) -> HttpResponse:
    """A new message, a reply or a forward; and what the buttons of the form do."""
    if request.method != "POST":
        return _show(request, begin_form(request.caller, request.GET))
    form = typed_form(request.POST)
    act = request.POST.get("act", "save")
    try:
        return _do(request, form, act)
    except (MailError, MailhubError) as error:
        if isinstance(error, NotFound):
            raise
        _note_error(form, error)
    _show_files(request, form)
    return _show(request, form, is_refused=True)


@require_safe
@page(scope="mail", writes=True)
def edit_draft(request: PageRequest, draft_id: UUID) -> HttpResponse:
    """Go on with a draft."""
    return _show(request, form_of(_find(request, draft_id)))


@require_http_methods(_METHODS)
@page(scope="mail", writes=True)
def discard_draft(request: PageRequest, draft_id: UUID) -> HttpResponse:
    """Asks once, then throws it away."""
    draft = _find(request, draft_id)
    if request.method == "POST":
        discard(request.caller, draft)
        messages.success(request, "The draft is thrown away.")
        return redirect("mail-drafts")
    return render(request, "mailboxes/compose/discard.html", {"draft": draft})


@require_safe
@page(scope="mail")
def suggest_people(request: PageRequest) -> HttpResponse:
    """People written to before, for what is typed."""
    found = people_written_to(request.caller, request.GET.get("q", ""))
    context = {"people": [(person, typed_person(person)) for person in found]}
    return render(request, "mailboxes/compose/people.html", context)


@require_safe
@page(scope="mail", writes=True)
def download_file(request: PageRequest, draft_id: UUID, file_id: int) -> HttpResponseBase:
    """A file of a draft, to be saved."""
    row = _find(request, draft_id).attachments.filter(pk=file_id).first()
    if row is None:
        raise NotFound("The draft has no such attachment.")
    return streamed_octets(file_stretches(row), row.size, row.content_type, row.filename)


@require_safe
@page(scope="mail", writes=True)
def show_outgoing(request: PageRequest, message_id: int) -> HttpResponse:
    """What was just sent: it can be taken back while it waits."""
    message = _outgoing(request, message_id)
    context = {
        "message": message,
        "is_moving": is_moving(message),
        "is_soon": message.is_waiting and not _is_later(message),
        "next": next_address(request),
    }
    return render(request, "mailboxes/compose/outgoing.html", context)


@require_POST
@page(scope="mail")
def undo(request: PageRequest, message_id: int) -> HttpResponse:
    """The message is a draft again, unless it has left."""
    message = _outgoing(request, message_id)
    try:
        draft = take_back(request.caller, message)
    except Conflict as refusal:
        messages.error(request, refusal.message)
        return _go(request, _outgoing_address(request, message))
    messages.success(request, "It was not sent. You may go on with it here.")
    return _go(request, _draft_address(request, draft.pk))


def _do(request: PageRequest, form: ComposeForm, act: str) -> HttpResponse:
    if act == "discard":
        return _ask_before_discarding(request, form)
    send_at = _chosen_time(form) if act == "later" else None
    draft = save_form(
        request.caller, form, request.FILES.getlist("files"), over_others=act == "overwrite"
    )
    name, _, number = act.partition(":")
    if name == "detach":
        draft = detach(request.caller, draft, whole_number(number) or 0)
    if act in ("send", "later"):
        return _send(request, draft, send_at)
    if act == "save":
        messages.success(request, "The draft is saved.")
        return _go(request, _draft_address(request, draft.pk))
    return _show(request, form_of(draft))


def _send(request: PageRequest, draft: Draft, send_at: datetime | None) -> HttpResponse:
    pause = settings.MAILHUB_UNDO_SEND_SECONDS
    if send_at is None and pause:
        send_at = timezone.now() + timedelta(seconds=pause)
    message = send_draft(request.caller, draft, send_at=send_at, version=draft.version)
    return _go(request, _outgoing_address(request, message))


def _ask_before_discarding(request: PageRequest, form: ComposeForm) -> HttpResponse:
    if Draft.objects.for_caller(request.caller).open().filter(pk=form.draft_id).exists():
        return _go(request, reverse("discard-draft", args=[form.draft_id]))
    return _go(request, next_address(request))


def _chosen_time(form: ComposeForm) -> datetime:
    """In the zone that the reader's browser named, or in UTC."""
    try:
        zone = ZoneInfo(form.zone) if form.zone else UTC
        moment = datetime.fromisoformat(form.send_at).replace(tzinfo=zone)
        if moment > timezone.now():
            return moment
    except (ValueError, OSError, OverflowError):
        pass
    raise InvalidInput.field("send_at", "Choose a time that is still to come.")


def _note_error(form: ComposeForm, error: MailError | MailhubError) -> None:
    fields: dict[str, list[str]] = getattr(error, "details", {}).get("fields", {})
    known = {_FIELDS.get(name, name): words for name, words in fields.items()}
    form.errors = {
        name: words for name, words in known.items() if hasattr(form, name) or name == "account"
    }
    form.is_conflict = getattr(error, "code", "") == "version_conflict"
    if not form.errors:
        form.problem = error_words(error)


def _show_files(request: PageRequest, form: ComposeForm) -> None:
    """Those that the draft has, or those that are still to come along with a forward."""
    draft = Draft.objects.for_caller(request.caller).open().filter(pk=form.draft_id).first()
    if draft is not None:
        form.attachments = list(draft.attachments.all())
        form.has_design = bool(draft.html)
        if not form.is_conflict:
            form.version = draft.version
    else:
        form.offered = offered_files(request.caller, form)


def _show(request: PageRequest, form: ComposeForm, *, is_refused: bool = False) -> HttpResponse:
    context = {
        "form": form,
        "accounts": _accounts(request, form),
        "next": next_address(request),
        "limit": settings.MAILHUB_MESSAGE_LIMIT,
        "undo_seconds": settings.MAILHUB_UNDO_SEND_SECONDS,
    }
    is_htmx = request.headers.get("HX-Request") == "true"
    # htmx shows what comes with a status of success alone.
    status = 400 if is_refused and not is_htmx else 200
    response = render(request, "mailboxes/compose/compose.html", context, status=status)
    if is_htmx and form.version:
        response["HX-Replace-Url"] = _draft_address(request, form.draft_id)
    return response


def _accounts(request: PageRequest, form: ComposeForm) -> list[EmailAccount]:
    """The person's own first; that of the draft too, though nothing leaves by it now."""
    found = set(sending_accounts(request.caller))
    found |= set(EmailAccount.objects.sendable_by(request.caller).filter(drafts=form.draft_id))
    mine = request.caller.user.pk
    return sorted(found, key=lambda each: (each.user_id != mine, each.account_name, str(each.pk)))


def _go(request: PageRequest, address: str) -> HttpResponse:
    if request.headers.get("HX-Request") != "true":
        return redirect(address)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = address
    return response


def _draft_address(request: PageRequest, draft_id: UUID) -> str:
    return f"{reverse('edit-draft', args=[draft_id])}?{_next_query(request)}"


def _outgoing_address(request: PageRequest, message: OutboxMessage) -> str:
    return f"{reverse('mail-outgoing', args=[message.pk])}?{_next_query(request)}"


def _next_query(request: PageRequest) -> str:
    return urlencode({"next": next_address(request)})


def _find(request: PageRequest, draft_id: UUID) -> Draft:
    rows = Draft.objects.for_caller(request.caller).sendable_by(request.caller).open()
    draft = rows.filter(pk=draft_id).select_related("account").first()
    if draft is None:
        raise NotFound("There is no such draft. It was sent or thrown away, or is another’s.")
    return draft


def _outgoing(request: PageRequest, message_id: int) -> OutboxMessage:
    rows = OutboxMessage.objects.sendable_by(request.caller).filter(pk=message_id)
    message = rows.select_related("account").first()
    if message is None:
        raise NotFound("There is no such message.")
    return message


def _is_later(message: OutboxMessage) -> bool:
    at_once = timedelta(seconds=settings.MAILHUB_UNDO_SEND_SECONDS + 1)
    return message.send_at is not None and message.send_at - message.created_at > at_once

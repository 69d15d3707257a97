"""What a person does to messages: one form for one message or many, on the mail server first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_http_methods, require_POST

from accounts.pages import PageRequest, page
from mailboxes.api.message_changes import MOST_AT_ONCE, change_many
from mailboxes.models import Folder, FolderEntry
from mailboxes.pages.conversations import MOST_OPEN, error_words
from mailboxes.pages.folder_tree import folder_name
from mailhub.errors import InvalidInput, MailhubError
from mailhub.mail.errors import MailError
from mailhub.numbers import whole_number
from mailhub.templatetags.pages import count

_FLAGS: dict[str, dict[str, Any]] = {
    "read": {"is_read": True},
    "unread": {"is_read": False},
    "flag": {"is_flagged": True},
    "unflag": {"is_flagged": False},
}
_MESSAGES = "message,messages"


@require_POST
@page(scope="mail")
def act(request: PageRequest) -> HttpResponse:
    """Do what the button says to the messages chosen, and return to where it was pressed."""
    ids, wanted = _chosen(request), request.POST.get("act", "")
    if not ids:
        messages.error(request, "Choose messages first.")
    elif wanted == "delete":
        return _ask_before_deleting(request, ids)
    elif wanted in _FLAGS:
        _carry_out(request, ids, _FLAGS[wanted], done="")
        return _return(request, ids if request.POST.get("keep-open") else ())
    elif wanted == "move":
        _move(request, ids)
    elif wanted == "trash":
        _carry_out(request, ids, {"delete": True}, done="moved to Trash.")
    else:
        raise InvalidInput("There is no such thing to do.")
    return _return(request)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="mail", writes=True)
def delete(request: PageRequest) -> HttpResponse:
    """Asks once, naming how many, then deletes for good what lies in Trash."""
    ids = _chosen(request)
    if not ids:
        return _return(request)
    if request.method == "POST":
        _carry_out(request, ids, {"delete": True}, done="deleted for good.")
        return _return(request)
    context = {"ids": ids, "next": next_address(request)}
    return render(request, "mailboxes/delete.html", context)


def _move(request: PageRequest, ids: Sequence[int]) -> None:
    folder_id = whole_number(request.POST.get("folder", ""))
    target = Folder.objects.for_caller(request.caller).filter(pk=folder_id or 0).first()
    if target is None:
        messages.error(request, "Choose the folder to move to.")
        return
    done = f"moved to {folder_name(target)}."
    _carry_out(request, ids, {"folder_id": target.pk}, done=done)


def _carry_out(
    request: PageRequest, ids: Sequence[int], values: dict[str, Any], *, done: str
) -> None:
    """Change them, and say on the next page what came of it."""
    problems: list[str] = []
    for from_folder_id, some in _by_folder(request, ids, values).items():
        leaving = {} if from_folder_id is None else {"from_folder_id": from_folder_id}
        try:
            results = change_many(request.caller, {**values, **leaving, "ids": some})
            problems += [row["message"] for row in results if row["status"] != "done"]
        except (MailError, MailhubError) as error:
            problems += [error_words(error)] * len(some)
    changed = len(ids) - len(problems)
    if changed and done:
        messages.success(request, f"{count(changed, _MESSAGES)} {done}")
    if problems:
        what = "This" if len(ids) == 1 else f"{len(problems)} of {count(len(ids), _MESSAGES)}"
        reasons = " ".join(dict.fromkeys(problems))
        messages.error(request, f"{what} could not be changed. {reasons}")


def _by_folder(
    request: PageRequest, ids: Sequence[int], values: dict[str, Any]
) -> dict[int | None, list[int]]:
    """Messages by the folder that they leave: the one shown, where they lie in it."""
    if not {"delete", "folder_id"} & values.keys():
        return {None: list(ids)}
    shown = whole_number(request.POST.get("from", ""))
    lying: dict[int, list[int]] = defaultdict(list)
    entries = FolderEntry.objects.for_caller(request.caller).filter(message_id__in=ids)
    for message_id, folder_id in entries.order_by("folder_id").values_list(
        "message_id", "folder_id"
    ):
        lying[message_id].append(folder_id)
    leaving: dict[int | None, list[int]] = defaultdict(list)
    for message_id in ids:
        folders = lying[message_id]
        leaving[shown if shown in folders else next(iter(folders), None)].append(message_id)
    return leaving


def _ask_before_deleting(request: PageRequest, ids: Sequence[int]) -> HttpResponse:
    query: dict[str, Any] = {
        "ids": ids,
        "next": next_address(request),
        "from": request.POST.get("from", ""),
    }
    address = f"{reverse('mail-delete')}?{urlencode(query, doseq=True)}"
    if request.headers.get("HX-Request") != "true":
        return redirect(address)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = address
    return response


def _chosen(request: PageRequest) -> list[int]:
    given = request.POST if request.method == "POST" else request.GET
    return read_ids(given.getlist("ids")[:MOST_AT_ONCE])


def read_ids(texts: Iterable[str]) -> list[int]:
    """Each once, in this order; what is no id is left out."""
    numbers = map(whole_number, texts)
    return [number for number in dict.fromkeys(numbers) if number is not None]


def _return(request: PageRequest, opened: Sequence[int] = ()) -> HttpResponse:
    """`opened` are messages that stay open in the conversation that is returned to."""
    address = next_address(request)
    if opened:
        sign = "&" if "?" in address else "?"
        address += sign + urlencode({"open": opened[:MOST_OPEN]}, doseq=True)
    response = HttpResponseRedirect(address)
    response.status_code = 303
    return response


def next_address(request: PageRequest) -> str:
    """An address of this site beneath /mail."""
    given = request.POST.get("next") or request.GET.get("next") or ""
    is_safe = url_has_allowed_host_and_scheme(given, allowed_hosts=None)
    return given if is_safe and given.startswith("/mail") else reverse("mail")

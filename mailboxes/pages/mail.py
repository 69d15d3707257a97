"""The pages that people read mail on: folders, a list, and a conversation beside one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.models import EmailAccount
from accounts.pages import PageRequest, page
from mailboxes.api.accounts import readable_account
from mailboxes.composing import may_compose
from mailboxes.models import Folder, FolderRole, Journal, MessageChange
from mailboxes.pages.account_states import account_states
from mailboxes.pages.acting import read_ids
from mailboxes.pages.conversations import MOST_OPEN, Wish, read_conversation
from mailboxes.pages.folder_tree import FolderLine, folder_tree
from mailboxes.pages.lines import describe_query, read_page
from mailboxes.pages.places import Place, find_place
from mailboxes.search.query import read_query
from mailhub.api.pagination import read_cursor, write_cursor
from mailhub.errors import InvalidInput, NotFound

_NEWS = "news"


@require_safe
@page(scope="mail")
def show_mail(
    request: PageRequest,
    account_id: UUID | None = None,
    folder_id: int | None = None,
    message_id: int | None = None,
) -> HttpResponse:
    """A folder, an account or all accounts as a list; with a message, that beside it."""
    place = find_place(request.caller, account_id, folder_id, request.GET)
    if not place.accounts:
        return redirect("mail")
    context = _workspace(request, place)
    if message_id is not None:
        wish = Wish(
            as_text=request.GET.get("view") == "text",
            with_images=request.GET.get("images") == "1",
            opened=read_ids(request.GET.getlist("open")[:MOST_OPEN]),
        )
        context["conversation"] = read_conversation(
            request.caller, message_id, context["folders"], listed_in=place.folder, wish=wish
        )
        account_id = context["conversation"].asked_for.message.account_id
        context["moves"] = _targets(context["folders"], account_id)
        context["message_address"] = place.message_address(message_id)
    return render(request, "mailboxes/mail.html", context)


@require_safe
@page(scope="mail")
def open_account(request: PageRequest, account_id: UUID) -> HttpResponse:
    """An account is opened at its inbox, or as a whole where none is known yet."""
    account = readable_account(request.caller, account_id)
    inbox = Folder.objects.filter(account=account, role=FolderRole.INBOX, is_selectable=True)
    found = inbox.order_by("pk").first()
    if found is None:
        return redirect("mail-account", account.pk)
    return redirect("mail-folder", account.pk, found.pk)


@require_safe
@page(scope="mail")
def search(request: PageRequest) -> HttpResponse:
    """From the search box to the list that it asks for: of a folder, an account, or all."""
    text, within = request.GET.get("q", "").strip(), request.GET.get("within", "")
    account_id, _, folder_id = within.partition("/")
    base = reverse("mail-everything")
    if account_id:
        try:
            place: list[object] = [UUID(account_id), *([folder_id] if folder_id else [])]
            base = reverse("mail-folder" if folder_id else "mail-account", args=place)
        except (ValueError, NoReverseMatch):
            raise NotFound("There is no such folder.") from None
    return redirect(f"{base}?{urlencode({'q': text})}" if text else base)


@require_safe
@page(scope="mail")
def show_news(request: PageRequest) -> HttpResponse:
    """Asked for every few seconds by an open list: 204 while nothing has changed.

    Otherwise how a pass goes, how many messages are new, and an event by which the list is
    read anew where mail has changed.
    """
    account_id = request.GET.get("account")
    accounts = (
        [readable_account(request.caller, account_id)]
        if account_id
        else list(EmailAccount.objects.for_caller(request.caller))
    )
    before = _read_state(request.GET.get("state", ""))
    news = _news(request, accounts, account_id or "")
    has_changed = news["sequences"] != before
    if not has_changed and not news["running"] and not request.GET.get("running"):
        return HttpResponse(status=204)
    news["new_messages"] = _count_new(before) if has_changed else 0
    response = render(request, "mailboxes/news.html", news)
    if has_changed:
        response["HX-Trigger"] = "mail-changed"
    return response


def _workspace(request: PageRequest, place: Place) -> dict[str, Any]:
    rows = Folder.objects.filter(account__in=place.accounts)
    folders = {folder.pk: folder for folder in rows}
    mine = [row for row in folders.values() if place.account and row.account_id == place.account.pk]
    shown = [place.account] if place.account else place.accounts
    may_write = request.caller.may("mail", write=True)
    is_owner = any(account.user_id == request.caller.user.pk for account in shown)
    inboxes = {row.account_id: row.unread for row in rows if row.role == FolderRole.INBOX}
    tree = folder_tree(mine)
    return {
        "place": place,
        "folders": folders,
        "tree": tree,
        "targets": [line for line in tree if line.folder.is_selectable],
        "accounts": [(account, inboxes.get(account.pk, 0)) for account in place.accounts],
        "page": read_page(place, folders),
        "pieces": describe_query(read_query(place.text)) if place.text else [],
        "may_change": may_write and is_owner,
        "may_compose": may_compose(request.caller),
        "is_trash": place.folder is not None and place.folder.role == FolderRole.TRASH,
        **_news(request, shown, str(place.account.pk) if place.account else ""),
    }


def _targets(folders: Mapping[int, Folder], account_id: UUID) -> list[FolderLine]:
    """The folders of an account to which a message may be moved."""
    rows = [row for row in folders.values() if row.account_id == account_id]
    return [line for line in folder_tree(rows) if line.folder.is_selectable]


def _news(request: PageRequest, accounts: Any, scope: str) -> dict[str, Any]:
    journals = Journal.objects.filter(account__in=accounts)
    sequences = {str(pk): number for pk, number in journals.values_list("pk", "sequence")}
    states = account_states(request.caller, accounts)
    return {
        "sequences": sequences,
        "state": write_cursor(_NEWS, sequences),
        "running": [state for state in states if state.is_running],
        "troubled": [state for state in states if state.trouble or not state.account.is_enabled],
        "scope": scope,
    }


def _read_state(text: str) -> dict[str, int]:
    try:
        name, sequences = read_cursor(text, 2)
    except InvalidInput:
        return {}
    return dict(sequences) if name == _NEWS else {}


def _count_new(before: dict[str, int]) -> int:
    """How many messages came into sight since; of accounts that had any mail before."""
    number = 0
    for account_id, sequence in before.items():
        if sequence:
            changes = MessageChange.objects.filter(account_id=UUID(account_id), is_removed=False)
            number += changes.filter(sequence__gt=sequence, appeared__gt=sequence).count()
    return number

"""Pages of lists and of suppressed addresses."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, page
from contacts.addresses import InvalidAddress, normalise_email
from contacts.joining import add_addresses
from contacts.listing import change_list, delete_list, segments_naming
from contacts.models import ContactList, ErasedAddress, ListMember, MemberState, Suppression
from contacts.page_forms import ListForm
from mailhub.api.pagination import page_after, write_cursor
from mailhub.errors import Conflict, MailhubError

ROWS_A_PAGE = 50
MOST_TYPED = 1000
LONGEST_SEARCH = 200
_BETWEEN = re.compile(r"[\s,;]+")


@require_safe
@page(scope="contacts")
def show_lists(request: PageRequest) -> HttpResponse:
    """The tenant's lists by name, each with its numbers."""
    lists = list(ContactList.objects.for_caller(request.caller).order_by("name"))
    counted = ListMember.objects.count_by_list(each.pk for each in lists)
    rows = [{"list": each, **_counts(counted[each.pk])} for each in lists]
    return render(request, "contacts/lists/all.html", {"rows": rows})


def _counts(counted: dict[str, int]) -> dict[str, int]:
    return {state: counted.get(state, 0) for state in MemberState.values}


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def add_list(request: PageRequest) -> HttpResponse:
    """A new list."""
    return _ask(request, ContactList(tenant=request.caller.tenant, created_by=request.caller.user))


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def edit_list(request: PageRequest, list_id: int) -> HttpResponse:
    """Another name, another way to join."""
    return _ask(request, _find(request, list_id))


def _ask(request: PageRequest, contact_list: ContactList) -> HttpResponse:
    form = ListForm(request.caller, contact_list, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            change_list(request.caller, contact_list, form.cleaned_data)
            return redirect("list", contact_list.pk)
        except MailhubError as refusal:
            fields: dict[str, Any] = refusal.details.get("fields", {})
            named = [name for name in fields if name in form.fields]
            form.add_error(named[0] if named else None, refusal.message)
    return render(request, "contacts/lists/form.html", {"form": form, "list": contact_list})


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts")
def show_list(request: PageRequest, list_id: int) -> HttpResponse:
    """Who is on a list; a form adds more."""
    contact_list = _find(request, list_id)
    typed = request.POST.get("emails", "")
    problem = ""
    if request.method == "POST":
        emails, problem = _read_addresses(typed)
        if not problem:
            added = add_addresses(contact_list, emails)
            words = "1 address is" if added.added == 1 else f"{added.added:,} addresses are"
            messages.success(request, f"{words} new here; {added.unchanged:,} were known here.")
            return redirect("list", list_id)
    wanted = request.GET.get("state", "")
    members = ListMember.objects.for_caller(request.caller).filter(list=contact_list)
    if wanted in MemberState.values:
        members = members.filter(state=wanted)
    else:
        wanted = ""
    context = _walk(request, members.select_related("contact"), {"state": wanted})
    counted = ListMember.objects.count_by_list([contact_list.pk])[contact_list.pk]
    return render(
        request,
        "contacts/lists/show.html",
        {
            **context,
            "list": contact_list,
            "wanted": wanted,
            "counts": _counts(counted),
            "typed": typed if problem else "",
            "problem": problem,
        },
        status=400 if problem else 200,
    )


def _read_addresses(typed: str) -> tuple[list[str], str]:
    """The addresses, or what is wrong with one of them."""
    emails = []
    for text in filter(None, _BETWEEN.split(typed)):
        try:
            emails.append(normalise_email(text))
        except InvalidAddress as error:
            return [], f"{text[:100]}: {error}"
    if not 0 < len(emails) <= MOST_TYPED:
        return [], f"Give 1 to {MOST_TYPED} addresses; a file takes more."
    return emails, ""


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def ask_to_delete_list(request: PageRequest, list_id: int) -> HttpResponse:
    """Ask once, then forget the list; not while a segment asks for it."""
    contact_list = _find(request, list_id)
    status = 200
    if request.method == "POST":
        try:
            delete_list(contact_list)
            messages.success(request, f"The list {contact_list.name} is deleted.")
            return redirect("lists")
        except Conflict as refusal:
            status = refusal.status
    context = {
        "list": contact_list,
        "number": ListMember.objects.filter(list=contact_list).count(),
        "segments": segments_naming(contact_list),
    }
    return render(request, "contacts/lists/delete.html", context, status=status)


def _find(request: PageRequest, list_id: int) -> ContactList:
    return get_object_or_404(ContactList.objects.for_caller(request.caller), pk=list_id)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts")
def show_suppressions(request: PageRequest) -> HttpResponse:
    """Addresses that no campaign writes to; a form adds one."""
    typed, problem = request.POST.get("email", ""), ""
    if request.method == "POST":
        try:
            Suppression.objects.suppress(request.caller.tenant, [normalise_email(typed)])
            return redirect("suppressions")
        except InvalidAddress as error:
            problem = str(error)
    text = request.GET.get("q", "").strip().lower()[:LONGEST_SEARCH]
    rows = Suppression.objects.for_caller(request.caller)
    if text:
        rows = rows.filter(email__prefix=text) if "\0" not in text else rows.none()
    erased = ErasedAddress.objects.for_caller(request.caller).count()
    context = {
        **_walk(request, rows, {"q": text}),
        "text": text,
        "typed": typed,
        "problem": problem,
        "erased": erased,
    }
    return render(request, "contacts/suppressions.html", context, status=400 if problem else 200)


@require_POST
@page(scope="contacts")
def lift_suppression(request: PageRequest, suppression_id: int) -> HttpResponse:
    """Let campaigns write to the address again."""
    row = get_object_or_404(Suppression.objects.for_caller(request.caller), pk=suppression_id)
    Suppression.objects.filter(pk=row.pk).lift()
    messages.success(request, f"Campaigns may write to {row.email} again.")
    return redirect("suppressions")


def _walk(request: PageRequest, rows: Any, narrowed: dict[str, str]) -> dict[str, Any]:
    """A page of rows, newest first, and the addresses of the pages around it."""
    narrowed = {name: value for name, value in narrowed.items() if value}
    cursor = request.GET.get("cursor")
    shown = page_after(rows, "-pk", cursor, ROWS_A_PAGE + 1)
    older = ""
    if len(shown) > ROWS_A_PAGE:
        shown = shown[:ROWS_A_PAGE]
        last = shown[-1].pk
        older = urlencode({**narrowed, "cursor": write_cursor("-pk", last, last)})
    return {
        "rows": shown,
        "older": older,
        "is_first_page": not cursor,
        "first_page_query": urlencode(narrowed),
    }

"""The page of one contact: who it is, its lists, its whole history."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.pages import PageRequest, page
from contacts.holdings import erase_person, history_of
from contacts.models import Contact, Suppression
from contacts.page_forms import PersonForm
from contacts.preferences import preferences_url
from mailhub.errors import InvalidInput
from mailhub.moments import read_moment

HISTORY_A_PAGE = 100


@require_safe
@page(scope="contacts")
def show_person(request: PageRequest, contact_id: int) -> HttpResponse:
    """One contact; `?before=` goes back in its history."""
    contact = _find(request, contact_id)
    before = timezone.now()
    if text := request.GET.get("before"):
        given = read_moment(text)
        if given is None:
            raise InvalidInput.field("before", "This is no time.")
        before = given
    history = history_of(contact, before, HISTORY_A_PAGE)
    older = ""
    if len(history) >= HISTORY_A_PAGE:
        older = (history[-1].at - timedelta(microseconds=1)).isoformat()
    return render(
        request,
        "contacts/person.html",
        {
            "contact": contact,
            "history": history,
            "older": older,
            "places": contact.memberships.select_related("list").order_by("list__name"),
            "suppression": Suppression.objects.for_caller(request.caller)
            .filter(email=contact.email)
            .first(),
            "preferences": preferences_url(contact),
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def edit_person(request: PageRequest, contact_id: int) -> HttpResponse:
    """Names, company, status and attributes."""
    contact = _find(request, contact_id)
    form = PersonForm(request.POST or None, instance=contact)
    if request.method == "POST" and form.is_valid():
        form.keep()
        return redirect("contact", contact_id)
    status = 400 if form.errors else 200
    context = {"form": form, "contact": contact}
    return render(request, "contacts/edit.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@page(scope="contacts", writes=True)
def remove_person(request: PageRequest, contact_id: int) -> HttpResponse:
    """Ask once, then remove the contact, or erase all that is held about the person."""
    contact = _find(request, contact_id)
    if request.method == "POST":
        if "erase" in request.POST:
            erase_person(contact.tenant, contact.email)
            messages.success(request, "All data of the person is erased.")
        else:
            contact.delete()
            messages.success(request, f"{contact.email} is removed.")
        return redirect("contacts")
    return render(request, "contacts/remove.html", {"contact": contact})


def _find(request: PageRequest, contact_id: int) -> Contact:
    contacts = Contact.objects.for_caller(request.caller).select_related("tenant")
    return get_object_or_404(contacts, pk=contact_id)

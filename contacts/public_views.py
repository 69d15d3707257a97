"""Pages for the people on the lists: no login, a link speaks for the person.

GET changes nothing, for the programs that look at every link of a message before a person
does. A form needs no cookie: what it may do lies in the link that it was shown under.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from contacts.confirming import confirm, find_asked
from contacts.models import ContactStatus, MemberState
from contacts.preferences import choose_lists, find_person, lists_of, refuse_all_mail
from mailhub.numbers import whole_number

Arguments = ParamSpec("Arguments")
View = Callable[Concatenate[HttpRequest, Arguments], HttpResponse]


def public_page(view: View[Arguments]) -> Callable[..., HttpResponse]:
    """A page under a link that speaks for a person, by GET and POST, without a cookie."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @csrf_exempt
    @wraps(view)
    def shown(
        request: HttpRequest, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> HttpResponse:
        return keep_private(view(request, *args, **kwargs))

    return shown


def keep_private(response: HttpResponse) -> HttpResponse:
    """The answer to a link that nobody else is to learn: kept nowhere, told to no other site."""
    add_never_cache_headers(response)
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


@public_page
def confirm_membership(request: HttpRequest, token: str) -> HttpResponse:
    """Double opt-in: GET asks, POST puts the person on the list, however often."""
    member = find_asked(token)
    if member is None:
        return render(request, "contacts/public/unknown.html", status=404)
    if request.method == "POST":
        confirm(member)
    return render(
        request,
        "contacts/public/confirm.html",
        {"member": member, "states": MemberState, "tenant": member.list.tenant},
    )


@public_page
def choose_preferences(request: HttpRequest, token: str) -> HttpResponse:
    """Which lists a person is on: GET shows them, POST keeps what was chosen."""
    person = find_person(token)
    if person is None:
        return render(request, "contacts/public/unknown.html", status=404)
    if request.method == "POST":
        if "nothing" in request.POST:
            refuse_all_mail(person)
        else:
            keys = map(whole_number, request.POST.getlist("list"))
            choose_lists(person, {key for key in keys if key is not None})
    return render(
        request,
        "contacts/public/preferences.html",
        {
            "person": person,
            "tenant": person.tenant,
            "places": lists_of(person),
            "states": MemberState,
            "gets_mail": person.status == ContactStatus.SUBSCRIBED,
            "was_kept": request.method == "POST",
        },
    )

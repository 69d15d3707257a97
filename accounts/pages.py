"""Who may see a page: asked once, here, so that no page can forget.

Every view of a page is wrapped by `page(scope=...)`; the view then has `request.caller`,
as a view of the API has. What can go wrong on the way ends as a page too: a stranger is
sent to the login, a person of no tenant is told so, a missing right is 403, a foreign
object 404.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from accounts.caller import Caller, caller_from_session
from accounts.models import User
from mailhub.api.errors import as_mailhub_error
from mailhub.errors import MailhubError, NotAllowed

SESSION_TENANT = "tenant"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
Arguments = ParamSpec("Arguments")


class PageRequest(HttpRequest):
    """A request that passed `page`: `caller` is who asks, with the rights it has."""

    caller: Caller


PageView = Callable[Concatenate[PageRequest, Arguments], HttpResponseBase]
GuardedView = Callable[Concatenate[HttpRequest, Arguments], HttpResponseBase]


def page(
    *, scope: str | None, writes: bool = False
) -> Callable[[PageView[Arguments]], GuardedView[Arguments]]:
    """Guard a view: a logged-in member, with `scope` to read, and to write for a POST.

    `scope` None is for pages that any member may use; `writes` for a form that is of use
    only to those who may write. An expected error that the view raises becomes a page that
    says what happened.
    """

    def guard(view: PageView[Arguments]) -> GuardedView[Arguments]:
        @wraps(view)
        def guarded(
            request: HttpRequest, *args: Arguments.args, **kwargs: Arguments.kwargs
        ) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _ask_to_log_in(request)
            try:
                caller = _caller(request)
                if caller is None:
                    return render(request, "accounts/no_tenant.html", status=403)
                admitted = cast(PageRequest, request)
                admitted.caller = caller
                _require(caller, scope, write=writes or request.method not in _SAFE_METHODS)
                response = view(admitted, *args, **kwargs)
            except Exception as error:
                known = as_mailhub_error(error)
                if known is None:
                    raise
                response = error_page(request, known)
            add_never_cache_headers(response)
            return response

        guarded.page_scope = scope  # type: ignore[attr-defined]  # read by the test of all pages
        return cast("GuardedView[Arguments]", guarded)

    return guard


@contextmanager
def refused_in(form: BaseForm) -> Iterator[None]:
    """What is refused within is said by the form, which then has an error."""
    try:
        yield
    except MailhubError as refusal:
        form.add_error(None, refusal.message)


def error_page(request: HttpRequest, error: MailhubError) -> HttpResponse:
    """What happened, in a page, with the status that the API would answer."""
    template = {403: "403.html", 404: "404.html"}.get(error.status, "error.html")
    response = render(request, template, {"error": error}, status=error.status)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def _ask_to_log_in(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request") != "true":
        return redirect_to_login(request.get_full_path())
    try:
        shown = urlsplit(request.headers.get("HX-Current-URL", "")).path
    except ValueError:
        shown = ""
    response = HttpResponse(status=401)
    response["HX-Redirect"] = redirect_to_login(shown or "/")["Location"]
    return response


def _caller(request: HttpRequest) -> Caller | None:
    user = cast(User, request.user)
    chosen = request.session.get(SESSION_TENANT)
    if chosen is None:
        return caller_from_session(user)
    try:
        return caller_from_session(user, chosen)
    except NotAllowed:
        del request.session[SESSION_TENANT]
        return caller_from_session(user)


def _require(caller: Caller, scope: str | None, *, write: bool) -> None:
    if scope is not None and not caller.may(scope, write=write):
        what = "change" if write else "see"
        raise NotAllowed(
            f"Your role in {caller.tenant.name} is {caller.role.label.lower()}: "
            f"it may not {what} {scope}.",
            code="scope_required",
        )

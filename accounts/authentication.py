"""How a request proves who comes: an API key, or a session of the pages.

On success `request.user` is the user and `request.auth` the `Caller`.
"""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework import authentication
from rest_framework.request import Request

from accounts.caller import Caller, caller_from_key, caller_from_session
from accounts.models import ApiKey, User
from accounts.rate_limit import slow_down_guesses
from mailhub.errors import NotAllowed, NotAuthenticated


def named_in(request: HttpRequest | Request) -> tuple[str | None, str | None]:
    """The tenant and the user that the request names, by header or query.

    Raises NotAllowed where the two say different things.
    """
    names = []
    for what in ("tenant", "user"):
        by_header = request.headers.get(f"X-{what}-ID")
        by_query = request.GET.get(f"{what}_id")
        if by_header and by_query and by_header != by_query:
            raise NotAllowed(f"Header and query name different {what}s.", code=f"{what}_mismatch")
        names.append(by_header or by_query or None)
    return names[0], names[1]


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Token KEY`, or `Bearer KEY`."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        words = request.headers.get("Authorization", "").split()
        if not words or words[0].lower() not in ("token", "bearer"):
            return None
        key = ApiKey.objects.find(words[1]) if len(words) == 2 else None
        if key is None:
            slow_down_guesses(request)
            raise NotAuthenticated("This API key is not valid.", code="invalid_key")
        caller = caller_from_key(key, *named_in(request))
        key.note_use()
        return caller.user, caller

    def authenticate_header(self, request: Request) -> str:
        return "Token"


class SessionAuthentication(authentication.SessionAuthentication):
    """A person logged in to the pages; unsafe methods need the CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        caller = caller_from_session(user, *named_in(request))
        if caller is None:
            raise NotAllowed("You belong to no tenant.", code="no_tenant")
        return user, caller

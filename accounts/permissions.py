"""What a caller may do: its scopes against the view's, its role where the view asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.caller import Caller
from mailhub.errors import NotAllowed, NotAuthenticated

if TYPE_CHECKING:
    from rest_framework.views import APIView


class CallerMayAct(BasePermission):
    """The default of every view: a caller, with the view's `scope` to read or to write.

    A view without `scope` is a defect, and refused. `reading_actions` names actions that
    change nothing though they come by POST.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        caller = request.auth
        if not isinstance(caller, Caller):
            raise NotAuthenticated("Give an API key: Authorization: Token KEY.")
        scope: str | None = getattr(view, "scope", None)
        if scope is None:
            raise NotAllowed("This endpoint has no scope.")
        reading = request.method in SAFE_METHODS or (
            getattr(view, "action", None) in getattr(view, "reading_actions", ())
        )
        if not caller.may(scope, write=not reading):
            right = "read" if reading else "write"
            raise NotAllowed(f"This needs the right {scope}:{right}.", code="scope_required")
        return True

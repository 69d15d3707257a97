"""Which account a call is about: one that the caller may read, else there is none."""

from __future__ import annotations

from uuid import UUID

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailhub.errors import NotFound


def readable_account(caller: Caller, account_id: UUID | str) -> EmailAccount:
    """The caller's own account, or one delegated to it. Raises NotFound."""
    try:
        wanted = UUID(str(account_id))
    except ValueError:
        wanted = None
    found = EmailAccount.objects.for_caller(caller).filter(pk=wanted).first() if wanted else None
    if found is None:
        raise NotFound("There is no such account.")
    return found

"""The account that a client names to send by."""

from __future__ import annotations

from uuid import UUID

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailhub.errors import InvalidInput


def sending_account(
    caller: Caller, key: UUID | None, field: str = "account_id"
) -> EmailAccount | None:
    """The account, None for no key. Raises InvalidInput where the caller may not send by it."""
    if key is None:
        return None
    account = EmailAccount.objects.sendable_by(caller).filter(pk=key, is_enabled=True).first()
    if account is None:
        raise InvalidInput.field(field, "There is no such account from which you may send.")
    return account

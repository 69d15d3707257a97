"""From a connected account to its open mailbox."""

from __future__ import annotations

from accounts.connections import incoming_settings
from accounts.models import AccountProtocol, EmailAccount
from mailhub.errors import Conflict
from mailhub.mail.stores.base import Store
from mailhub.mail.stores.imap import ImapStore


def store_of(account: EmailAccount) -> Store:
    """The account's mailbox, not yet connected. Raises what `incoming_settings` does."""
    refuse_unreadable(account)
    return ImapStore(incoming_settings(account))


def refuse_unreadable(account: EmailAccount) -> None:
    """Raises Conflict for an account whose mail cannot be fetched: disabled, or POP3."""
    if not account.is_enabled:
        reason = account.disabled_reason or "It was switched off."
        raise Conflict(f"This account is disabled. {reason}", code="account_disabled")
    if account.protocol != AccountProtocol.IMAP:
        raise Conflict(
            "Mail is fetched over IMAP only; this account is read over POP3.",
            code="protocol_not_supported",
        )

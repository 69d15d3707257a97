"""By which server a message leaves: its account's own, or the installation's default sender."""

from __future__ import annotations

from accounts.models import EmailAccount
from accounts.sending import account_transport, default_transport
from mailboxes.models import OutboxMessage
from mailhub.mail.transports.base import Transport


def transport_of(message: OutboxMessage) -> Transport:
    """Not yet connected. Raises Conflict and InvalidInput where it cannot be sent as things are."""
    if message.account is None:
        return default_transport(message.tenant)
    return account_transport(message.account)


def refuse_unsendable(account: EmailAccount) -> None:
    """Raises Conflict for a disabled account, InvalidInput for one without an outgoing server."""
    account_transport(account)

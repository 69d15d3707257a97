"""A message without credentials: it goes by the sender that the installation's operator chose."""

from __future__ import annotations

import time

from accounts.caller import Caller
from accounts.sending import default_sender, default_transport
from mailboxes.models import OutboxMessage, OutboxState
from mailboxes.operations.composing import MailOptions, compose, sent_octets
from mailboxes.outbox.accepting import accept
from mailhub.errors import InvalidInput, NotSent
from mailhub.mail.errors import DeliveryUncertain

WAIT_SECONDS = 20.0
_LOOK_EVERY = 0.05
_OPEN = (OutboxState.QUEUED, OutboxState.SENDING, OutboxState.SCHEDULED)


def send_by_default(caller: Caller, options: MailOptions) -> OutboxMessage:
    """Promise to send it.

    Raises InvalidInput where it cannot be sent, or nobody is to send it, and Conflict where
    the default sender is not in order.
    """
    refuse_without_default_sender(caller)
    if options.sender is None:
        raise InvalidInput.field("mailOptions.from", "Say whom it is from.")
    message = compose(options, username="")
    return accept(caller, message, sent_octets(message))


def refuse_without_default_sender(caller: Caller) -> None:
    """Raises InvalidInput (`credentials_required`) where the installation has none.

    Raises Conflict where it has one that cannot send.
    """
    if not default_sender():
        raise InvalidInput(
            "This installation has no sender of its own: say in smtpCredentials which server "
            "sends the message.",
            code="credentials_required",
        )
    default_transport(caller.tenant)


def await_first_try(message: OutboxMessage, seconds: float = WAIT_SECONDS) -> None:
    """Return when its first try has ended, or the time is up."""
    until = time.monotonic() + seconds
    while message.state in _OPEN and time.monotonic() < until:
        time.sleep(_LOOK_EVERY)
        message.refresh_from_db()


def refuse_failed(message: OutboxMessage) -> None:
    """Raises NotSent for one that nobody got, DeliveryUncertain where that is unknown."""
    if message.state == OutboxState.UNCERTAIN:
        raise DeliveryUncertain(message.reply)
    if message.state in (OutboxState.FAILED, OutboxState.DEAD):
        raise NotSent(
            "The message was not sent.",
            code=message.error_code or None,
            details={"id": str(message.pk), "reply": message.reply},
        )

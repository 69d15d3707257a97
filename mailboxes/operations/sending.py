"""send-email: one message, one conversation with the caller's SMTP server."""

from __future__ import annotations

from dataclasses import dataclass

from mailhub.mail.errors import MessageRefused
from mailhub.mail.message import OutgoingMessage
from mailhub.mail.transports.base import Result, Transport


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server took; `response` are its last words."""

    message_id: str
    accepted: tuple[str, ...]
    rejected: tuple[str, ...]
    response: str


def send_email(transport: Transport, message: OutgoingMessage, content: bytes) -> Sent:
    """Send it once. Done where the server takes it for one recipient at least.

    Raises MailError where it takes it for nobody; DeliveryUncertain where its answer to the
    whole message was lost.
    """
    outcome = transport.send(message.envelope(), content)
    if outcome.result is not Result.SENT:
        raise outcome.error or MessageRefused("The message was not sent.", outcome.reply)
    return Sent(
        message.message_id,
        outcome.accepted,
        tuple(outcome.refused),
        str(outcome.reply) if outcome.reply else "",
    )

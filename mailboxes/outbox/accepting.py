"""A message becomes a row: from here on it is sent, or a person sees why it was not."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.caller import Caller
from accounts.models import EmailAccount
from mailboxes.models import Message, OutboxContent, OutboxLane, OutboxMessage, OutboxState
from mailhub.mail.message import OutgoingMessage
from mailhub.mail.transports.base import Envelope

# Reports bring the header of a message back, whatever servers did to its Message-ID.
REPORT_FIELD = "X-Mailhub-Message"


def accept(
    caller: Caller,
    message: OutgoingMessage,
    wire: bytes,
    *,
    account: EmailAccount | None = None,
    answered: Message | None = None,
    forwarded: Message | None = None,
    send_at: datetime | None = None,
) -> OutboxMessage:
    """Promise to send it, at once or at `send_at`; without an account by the default sender.

    `wire` are the message's checked octets; `answered` and `forwarded` what it answers and
    passes on.
    """
    now = timezone.now()
    later = send_at is not None and send_at > now
    envelope: Envelope = message.envelope()
    token = secrets.token_hex(16)
    wire = f"{REPORT_FIELD}: {token}\r\n".encode() + wire
    with transaction.atomic():
        lane = _lane(caller, account)
        row = OutboxMessage.objects.create(
            tenant=caller.tenant,
            lane=lane,
            user=caller.user,
            account=account,
            answered=_markable(caller, account, answered),
            forwarded=_markable(caller, account, forwarded),
            state=OutboxState.SCHEDULED if later else OutboxState.QUEUED,
            message_id=message.message_id,
            report_token=token,
            sender=envelope.sender,
            recipients=list(envelope.recipients),
            outstanding=list(envelope.recipients),
            subject=message.subject,
            size=len(wire),
            send_at=send_at,
            next_try_at=send_at if later else now,
        )
        OutboxContent.objects.create(
            message=row, wire=wire, bcc=", ".join(person.address for person in message.bcc)
        )
        make_due(lane.pk, row.next_try_at or now)
    return row


def make_due(lane_id: int, moment: datetime) -> None:
    """A message of the lane may leave then: workers look for it no later."""
    lanes = OutboxLane.objects.filter(pk=lane_id)
    lanes.filter(Q(due_at=None) | Q(due_at__gt=moment)).update(due_at=moment)


def _markable(
    caller: Caller, account: EmailAccount | None, message: Message | None
) -> Message | None:
    """Whoever only reads an account leaves no mark on its mail by an answer from elsewhere."""
    if message is None or message.account == account:
        return message
    return message if message.account.user_id == caller.user.pk else None


def _lane(caller: Caller, account: EmailAccount | None) -> OutboxLane:
    lane, _ = OutboxLane.objects.get_or_create(tenant=caller.tenant, account=account)
    return lane

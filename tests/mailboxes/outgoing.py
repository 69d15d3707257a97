"""Messages on their way out, in whatever state a test needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import EmailAccount
from mailboxes.models import DeadLetter, OutboxMessage, OutboxState, SendAttempt
from mailboxes.outbox.accepting import accept
from mailhub.mail.message import Address, OutgoingMessage
from tests.people import Person

_ENDS_AS_DEAD_LETTER = (OutboxState.FAILED, OutboxState.DEAD)


def put_out(
    person: Person,
    subject: str,
    state: OutboxState = OutboxState.QUEUED,
    *,
    account: EmailAccount | None = None,
    to: tuple[str, ...] = ("bo@example.org",),
    reply: str = "",
    **fields: Any,
) -> OutboxMessage:
    """A message of this person's that has come as far as `state` says, with one try to tell of it.

    One that is scheduled leaves in a day unless `send_at` says otherwise.
    """
    message = OutgoingMessage(
        sender=Address("", account.email_address if account else "shop@example.org"),
        to=tuple(Address("", each) for each in to),
        subject=subject,
        text="The words of the message itself.",
    )
    now = timezone.now()
    is_later = state == OutboxState.SCHEDULED
    send_at = fields.pop("send_at", now + timedelta(days=1) if is_later else None)
    row = accept(person.caller, message, message.as_bytes(), account=account, send_at=send_at)
    if state in (OutboxState.QUEUED, OutboxState.SCHEDULED):
        return row
    values = {
        "state": state,
        "reply": reply,
        "tries": 1,
        "next_try_at": now + timedelta(minutes=5) if state == OutboxState.DEFERRED else None,
        "finished_at": None if state in (OutboxState.SENDING, OutboxState.DEFERRED) else now,
        **fields,
    }
    OutboxMessage.objects.filter(pk=row.pk).update(**values)
    if reply:
        result = state if state in ("sent", "deferred", "uncertain") else "failed"
        SendAttempt.objects.create(message=row, number=1, ended_at=now, result=result, reply=reply)
    if state in _ENDS_AS_DEAD_LETTER:
        DeadLetter.objects.create(message=row, reason=reply)
    row.refresh_from_db()
    return row

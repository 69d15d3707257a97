"""What became of a try, written down at once: row, attempt, and a dead letter at the end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import AccountProtocol
from mailboxes.models import DeadLetter, OutboxMessage, OutboxState
from mailboxes.outbox.bounces import settle_bounced
from mailboxes.outbox.statements import add_attempt, end_usually
from mailhub.mail.errors import EncryptionRefused, MailError, SendingHeld
from mailhub.mail.transports.base import Outcome, Result
from mailhub.retrying import next_try

_ENDS_AS_DEAD_LETTER = (OutboxState.FAILED, OutboxState.DEAD)
_LONGEST_REPLY = 1000
_LOST = "The process that sent it was lost before the server's answer was seen."


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a message stands after a try. `outstanding` are those to be tried again."""

    state: OutboxState
    outstanding: tuple[str, ...] = ()


def outcome_of(error: Exception) -> Outcome:
    """The outcome of a try that ended before any message was offered."""
    if not isinstance(error, MailError):
        error = MailError(getattr(error, "message", "") or "It could not be sent.")
        error.permanent = True
    # A certificate is renewed, and STARTTLS switched on again: no server has refused the message.
    is_final = error.permanent and not isinstance(error, EncryptionRefused)
    result = Result.FAILED if is_final else Result.DEFERRED
    return Outcome(result, reply=error.reply, error=error)


def record(message: OutboxMessage, worker: str, outcome: Outcome) -> bool:
    """Write down how this worker's try ended; False where the message is no more its own.

    A worker that was taken for lost may still tell of what it had begun.
    """
    now = timezone.now()
    held = outcome.error if isinstance(outcome.error, SendingHeld) else None
    verdict = _judge(message, outcome)
    message.tries += held is None
    _note_recipients(message, outcome, verdict)
    message.state = verdict.state
    message.reply = (held.message if held else outcome.reason)[:_LONGEST_REPLY]
    message.error_code = outcome.error.code if outcome.error else ""
    message.provider_id = outcome.provider_id
    is_deferred = verdict.state == OutboxState.DEFERRED
    message.next_try_at = _due_again(message, held, now) if is_deferred else None
    message.finished_at = None if is_deferred else now
    if message.accepted and message.copy_due_at is None and keeps_copies(message):
        message.copy_due_at = now
    mine = OutboxMessage.objects.filter(pk=message.pk, worker=worker)
    in_hand = mine.filter(state=OutboxState.SENDING)
    written = _written(message)
    with transaction.atomic():
        is_usual = end_usually(message.pk, worker, written)
        if not is_usual and not in_hand.update(**written):
            if not mine.filter(state=OutboxState.UNCERTAIN).update(**written):
                return False
            _forget_loss(message)
        if held is None or outcome.reply is not None:
            code = outcome.reply.code if outcome.reply else 0
            reason = outcome.reason[:_LONGEST_REPLY]
            add_attempt(message.pk, now, outcome.result.value, code, reason)
        if not is_usual:
            _settle_bounced(message)
        if verdict.state in _ENDS_AS_DEAD_LETTER:
            _keep_dead_letter(message, now)
    return True


def _keep_dead_letter(message: OutboxMessage, now: datetime) -> None:
    fresh = {"copied_at": None, "copy_due_at": now, "copy_tries": 0}
    DeadLetter.objects.update_or_create(
        message=message, defaults={"reason": message.reply, **fresh}
    )


def _due_again(message: OutboxMessage, held: SendingHeld | None, now: datetime) -> datetime:
    """A message that its provider holds up has used up no try, and waits as long as that says."""
    if held is None:
        return next_try(message.tries, now)
    return now + timedelta(seconds=held.retry_after)


def note_lost(message: OutboxMessage) -> None:
    """Its worker is gone, and its content may have left: nobody knows."""
    now = timezone.now()
    OutboxMessage.objects.filter(pk=message.pk).update(
        state=OutboxState.UNCERTAIN,
        tries=F("tries") + 1,
        reply=_LOST,
        error_code="delivery_uncertain",
        finished_at=now,
    )
    add_attempt(message.pk, now, Result.UNCERTAIN.value, 0, _LOST)
    _settle_bounced(message)


def _settle_bounced(message: OutboxMessage) -> None:
    settle_bounced(OutboxMessage.objects.get(pk=message.pk))


def keeps_copies(message: OutboxMessage) -> bool:
    """Whether a copy of it belongs in a Sent folder, or a mark on another; neither begun yet."""
    account = message.account
    if account is None or message.copy_tries:
        return False
    is_about_another = bool(message.answered_id or message.forwarded_id)
    return account.protocol == AccountProtocol.IMAP or is_about_another


def _judge(message: OutboxMessage, outcome: Outcome) -> Verdict:
    again = _to_be_tried_again(message, outcome)
    is_held = isinstance(outcome.error, SendingHeld)
    is_last = message.tries + 1 >= settings.MAILHUB_SEND_ATTEMPTS and not is_held
    if outcome.result is Result.UNCERTAIN:
        return Verdict(OutboxState.UNCERTAIN, tuple(message.outstanding))
    if again and not is_last:
        return Verdict(OutboxState.DEFERRED, again)
    if outcome.result is Result.SENT or message.accepted:
        return Verdict(OutboxState.SENT)
    return Verdict(OutboxState.DEAD if again else OutboxState.FAILED)


def _to_be_tried_again(message: OutboxMessage, outcome: Outcome) -> tuple[str, ...]:
    """Of those still outstanding, whom another try may reach."""
    if outcome.result is Result.FAILED:
        return ()
    refused = outcome.refused
    if outcome.result is Result.SENT:
        return tuple(each for each in refused if not refused[each].permanent)
    return tuple(
        each for each in message.outstanding if each not in refused or not refused[each].permanent
    )


def _note_recipients(message: OutboxMessage, outcome: Outcome, verdict: Verdict) -> None:
    message.accepted = [*message.accepted, *outcome.accepted]
    words = {each: str(reply) for each, reply in outcome.refused.items()}
    given_up = set(message.outstanding) - set(verdict.outstanding) - set(outcome.accepted)
    if outcome.result is not Result.UNCERTAIN:
        refused = {each: words.get(each, outcome.reason) for each in given_up}
        message.refused = {**message.refused, **dict(sorted(refused.items()))}
    message.outstanding = list(verdict.outstanding)


def _written(message: OutboxMessage) -> dict[str, object]:
    names = (
        "state",
        "tries",
        "accepted",
        "refused",
        "outstanding",
        "reply",
        "error_code",
        "provider_id",
        "next_try_at",
        "finished_at",
        "copy_due_at",
    )
    kept_by_worker = message.state == OutboxState.UNCERTAIN
    written: dict[str, object] = {name: getattr(message, name) for name in names}
    return written if kept_by_worker else {**written, "worker": "", "has_begun": False}


def _forget_loss(message: OutboxMessage) -> None:
    """The worker was not lost after all: the try that ended so has another end."""
    last = message.attempts.order_by("-number").first()
    if last is not None and last.reply == _LOST:
        last.delete()

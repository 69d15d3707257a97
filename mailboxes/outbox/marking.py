"""A message that was answered or passed on is marked so, on its server first and then here."""

from __future__ import annotations

from mailboxes.changing import change_messages
from mailboxes.models import Message, OutboxMessage
from mailboxes.wishes import Problem, Wish
from mailhub.errors import Busy, MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import CommandRefused, MailError

log = get_logger(__name__)


def mark_origins(message: OutboxMessage) -> bool:
    """Mark what an accepted message answers and passes on; False where to try again later."""
    return _mark(message.answered, Wish(is_answered=True)) and _mark(
        message.forwarded, Wish(is_forwarded=True)
    )


def _mark(origin: Message | None, wish: Wish) -> bool:
    if origin is None:
        return True
    try:
        problem = change_messages(origin.account, [origin.pk], wish).get(origin.pk)
    except (MailError, MailhubError) as error:
        problem = error
    if problem is None or not _may_pass(problem):
        return True
    log.info("a mark waits", message=origin.pk, reason=problem.message)
    return False


def _may_pass(problem: Problem) -> bool:
    """One that is gone meanwhile, or a server that refuses the mark, needs no other try."""
    if isinstance(problem, MailError):
        return not problem.permanent and not isinstance(problem, CommandRefused)
    return isinstance(problem, Busy)

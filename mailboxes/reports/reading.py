"""A duty of the dispatcher: read what may be a report, and see to what follows from it."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from mailboxes.models import Message, SuspectedReport
from mailboxes.outbox.bounces import note_report
from mailboxes.raw_store import RawStore
from mailboxes.reports.matching import sent_message
from mailboxes.signals import report_found
from mailhub.logs import get_logger
from mailhub.mail.bounce import BounceReport, read_report

log = get_logger(__name__)

# Other duties wait meanwhile; what is left is for the next turn.
_TURN_SECONDS = 0.25
_AT_ONCE = 50
_FIRST_PAUSE = timedelta(seconds=30)
_MOST_TRIES = 6


def read_suspects() -> int:
    """Read those that are due, the oldest first, for a moment; how many were reports."""
    until = time.monotonic() + _TURN_SECONDS
    due = SuspectedReport.objects.filter(due_at__lte=timezone.now()).order_by("due_at")
    count = 0
    for suspect in due.select_related("message__account")[:_AT_ONCE]:
        try:
            count += _read(suspect)
        except Exception:
            log.exception("report not read", message=suspect.pk, tries=suspect.tries + 1)
            _postpone(suspect)
        if time.monotonic() > until:
            break
    return count


def _read(suspect: SuspectedReport) -> bool:
    message = suspect.message
    found = RawStore(message.account_id).find(message.raw_digest)
    if found is None:
        # Perhaps it is fetched again, or another machine sees it.
        _postpone(suspect)
        return False
    # A report stands before what it returns, which may be large.
    report = read_report(found.held())
    with transaction.atomic():
        gone, _ = SuspectedReport.objects.filter(pk=suspect.pk).delete()
        if not gone or report is None:
            # Read by another machine meanwhile, or none.
            return False
        _act_on(message, report)
    return True


def _act_on(message: Message, report: BounceReport) -> None:
    tenant_id = message.account.tenant_id
    sent = sent_message(tenant_id, report)
    if sent is not None:
        note_report(
            sent.pk,
            report,
            key=message.message_id or message.raw_digest,
            received_at=message.received_at,
            source=message,
        )
    report_found.send(
        sender=Message,
        tenant_id=tenant_id,
        account_id=message.account_id,
        message_id=message.pk,
        report=report,
        outbox_id=sent.pk if sent is not None else None,
    )


def _postpone(suspect: SuspectedReport) -> None:
    row = SuspectedReport.objects.filter(pk=suspect.pk)
    if suspect.tries + 1 >= _MOST_TRIES:
        row.delete()
        return
    due_at = timezone.now() + _FIRST_PAUSE * 2**suspect.tries
    row.update(due_at=due_at, tries=suspect.tries + 1)

"""What reports say of messages that were sent: kept by recipient, and shown with them.

Only where a server gave a recipient up is anything changed, and once: whatever comes
twice, late, or about a try before the last is kept and changes nothing.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from accounts.events.publishing import publish
from mailboxes.models import DeliveryReport, Message, OutboxMessage, OutboxState
from mailhub.mail.bounce import BounceReport, RecipientReport, whom_it_concerns

BOUNCED = "message.bounced"
_LONGEST_REASON = 1000
_LONGEST_ADDRESS = 320
_LONGEST_NAME = 255
# Whoever got a message can write reports about it.
_MOST_REPORTS = 200
# Between the clock of a mail server and ours.
_SKEW = timedelta(minutes=1)
_MAY_HAVE_ARRIVED = (OutboxState.SENDING, OutboxState.UNCERTAIN)


def note_report(
    message_id: int,
    report: BounceReport,
    *,
    key: str,
    received_at: datetime,
    source: Message | None = None,
) -> None:
    """Keep what it says of a message of the outbox. Part of the caller's transaction.

    `key` names the report wherever it is found; `source` is the message in a mailbox that
    holds it, None where a provider told of it.
    """
    message = OutboxMessage.objects.select_for_update().get(pk=message_id)
    failed: dict[str, str] = {}
    for recipient, told in _keep_news(message, report, source, key, received_at):
        if told.has_failed and recipient:
            failed.setdefault(recipient, told.reason[:_LONGEST_REASON] or "It came back.")
    asked_again_at = message.asked_again_at
    if asked_again_at is not None and received_at < asked_again_at - _SKEW:
        return
    failed = {
        recipient: reason
        for recipient, reason in failed.items()
        if recipient not in message.bounced
        and (recipient in message.accepted or message.state in _MAY_HAVE_ARRIVED)
    }
    if failed:
        message.bounced = {**message.bounced, **failed}
        message.save(update_fields=["bounced"])
        settle_bounced(message)
        account_id = str(message.account_id) if message.account_id else None
        publish(
            message.tenant_id,
            BOUNCED,
            {"accountId": account_id, "outboxId": str(message.pk), "status": message.state},
        )


def settle_bounced(message: OutboxMessage) -> None:
    """It is `bounced` where nobody whom it was accepted for, or may have been, is left.

    Part of the caller's transaction, in which the row is locked.
    """
    bounced: dict[str, str] = message.bounced
    if message.state == OutboxState.SENT:
        left = set(message.accepted)
    elif message.state == OutboxState.UNCERTAIN:
        left = set(message.recipients) - set(message.refused)
    else:
        return
    if not bounced or left - bounced.keys():
        return
    message.state, message.error_code = OutboxState.BOUNCED, "bounced"
    message.reply = next(iter(bounced.values()))
    message.worker, message.has_begun = "", False
    message.save(update_fields=["state", "error_code", "reply", "worker", "has_begun"])


def _keep_news(
    message: OutboxMessage,
    report: BounceReport,
    source: Message | None,
    named: str,
    received_at: datetime,
) -> list[tuple[str, RecipientReport]]:
    """Keep what is new of it; each with the recipient of the message that it is about, if any."""
    key = hashlib.sha256(named.encode()).hexdigest()
    known = set(message.reports.values_list("report_key", "recipient", "verdict"))
    rows, news = [], []
    for told, recipient in whom_it_concerns(report, message.recipients):
        shown = (recipient or told.address)[:_LONGEST_ADDRESS]
        if (key, shown, told.verdict) in known:
            continue
        news.append((recipient, told))
        if len(known) >= _MOST_REPORTS:
            continue
        known.add((key, shown, told.verdict))
        rows.append(
            DeliveryReport(
                outbox=message,
                source=source,
                report_key=key,
                recipient=shown,
                verdict=told.verdict,
                action=told.action,
                status=told.status,
                reason=told.reason[:_LONGEST_REASON],
                remote_mta=told.remote_mta[:_LONGEST_NAME],
                received_at=received_at,
            )
        )
    DeliveryReport.objects.bulk_create(rows)
    return news

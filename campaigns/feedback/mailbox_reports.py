"""Reports about campaigns that are found in mailboxes: bounces, complaints, opt-outs.

Anybody can write a report: one counts where it holds a token that only the message held, in the
address that it was sent to, in the returned envelope or Message-ID, or in the returned link for
leaving. It is about the recipient where it names that one, or nobody. Nothing in the mailbox is
changed for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from campaigns.feedback.consequences import draw_consequences
from campaigns.feedback.proof import read_proof
from campaigns.feedback.recording import Report, is_erased, of_another, record_events
from campaigns.links.tokens import LENGTH, Purpose, read_token
from campaigns.models import Delivery, EventKind, EventSource
from campaigns.resolving import prove_sent
from mailboxes.models import Message
from mailboxes.signals import report_found
from mailhub.mail.bounce import BounceReport, RecipientReport, Verdict, whom_it_concerns

_LEAVING_LINK = re.compile(rf"/u/([A-Za-z0-9_-]{{{LENGTH}}})(?![A-Za-z0-9_-])")
_LONGEST_REASON = 1000
_KINDS = {
    Verdict.DELAYED: EventKind.DELAY,
    Verdict.DELIVERED: EventKind.DELIVERY,
    Verdict.COMPLAINT: EventKind.COMPLAINT,
    Verdict.OPT_OUT: EventKind.UNSUBSCRIBE,
}
_SHOWN = (Verdict.COMPLAINT, Verdict.OPT_OUT)
_TAKEN = "A report about it came back, so that a server took the message."


def listen() -> None:
    """Hear of the reports that are found in mailboxes."""
    report_found.connect(_on_report, dispatch_uid="campaigns.mailbox_reports")


def _on_report(
    *, tenant_id: UUID, message_id: int, report: BounceReport, outbox_id: int | None, **_: Any
) -> None:
    delivery = None if outbox_id is not None else _find(tenant_id, report)
    if delivery is None:
        return
    reports = list(_reports(delivery, report, Message.objects.get(pk=message_id)))
    if reports:
        prove_sent(delivery, _TAKEN)
        draw_consequences(record_events(reports))


def _find(tenant_id: UUID, report: BounceReport) -> Delivery | None:
    returned = report.returned
    texts = (*report.sent_to, returned.return_path, returned.message_id)
    key = next((key for text in texts if (key := read_proof(text)) is not None), None)
    if key is None:
        found = _LEAVING_LINK.search(returned.header("List-Unsubscribe"))
        named = read_token(Purpose.LEAVE, found[1]) if found else None
        key = named.delivery if named is not None else None
    if key is None:
        return None
    return Delivery.objects.filter(pk=key, campaign__tenant_id=tenant_id).first()


def _reports(delivery: Delivery, report: BounceReport, source: Message) -> Iterator[Report]:
    name = source.message_id or source.raw_digest
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    for told, recipient in whom_it_concerns(report, [delivery.email]):
        kind = _kind(told)
        if kind is None:
            continue
        if not recipient and not is_erased(delivery):
            yield of_another(
                delivery,
                source.received_at,
                EventSource.REPORT,
                key=digest,
                words=told.status or told.verdict,
            )
            continue
        is_verdict = kind is EventKind.BOUNCE or told.verdict in _SHOWN
        yield Report(
            delivery.pk,
            kind,
            source.received_at,
            EventSource.REPORT,
            key=f"{digest}:{told.verdict}",
            verdict=told.verdict if is_verdict else None,
            details={"reason": told.reason[:_LONGEST_REASON]},
        )


def _kind(told: RecipientReport) -> EventKind | None:
    """None for what says nothing of the delivery, as an automatic answer does."""
    if told.has_failed:
        return EventKind.BOUNCE
    return _KINDS.get(told.verdict)

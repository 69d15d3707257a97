"""What SES tells of single messages: noted in the outbox as a report by mail is."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from accounts.models import Tenant
from campaigns.feedback.consequences import (
    suppress_bounced,
    suppress_complained,
    suppress_opted_out,
)
from campaigns.feedback.ses_events import Happened, SesEvent
from campaigns.models import EventKind, SesNotice
from contacts.addresses import InvalidAddress, normalise_email
from mailboxes.models import OutboxMessage
from mailboxes.outbox.bounces import note_report
from mailhub.mail.bounce import (
    Action,
    BounceReport,
    RecipientReport,
    ReportKind,
    Returned,
    Verdict,
    whom_it_concerns,
)

_ACTIONS = {
    EventKind.BOUNCE: Action.FAILED,
    EventKind.REJECT: Action.FAILED,
    EventKind.RENDERING_FAILURE: Action.FAILED,
    EventKind.DELAY: Action.DELAYED,
    EventKind.DELIVERY: Action.DELIVERED,
    EventKind.COMPLAINT: Action.NONE,
    EventKind.SUBSCRIPTION: Action.NONE,
}
_VERDICTS = {
    EventKind.REJECT: Verdict.CONTENT,
    EventKind.RENDERING_FAILURE: Verdict.CONTENT,
    EventKind.DELAY: Verdict.DELAYED,
    EventKind.DELIVERY: Verdict.DELIVERED,
    EventKind.COMPLAINT: Verdict.COMPLAINT,
}
_SUPPRESSING = {
    Verdict.HARD: suppress_bounced,
    Verdict.COMPLAINT: suppress_complained,
    Verdict.OPT_OUT: suppress_opted_out,
}
_REPORTER = "Amazon SES"


def note_single(tenant_id: UUID, event: SesEvent, notice: SesNotice) -> bool:
    """Whether it is about a message of this tenant's outbox; then it is noted there."""
    message = _find(tenant_id, event)
    if message is None:
        return False
    recipients = tuple(
        _recipient(event.kind, each)
        for each in event.happened
        if event.kind in _ACTIONS and _says_something(event.kind, each)
    )
    if recipients:
        report = BounceReport(
            kind=ReportKind.DELIVERY_STATUS,
            recipients=recipients,
            returned=Returned(message_id=event.message_id.strip("<>")),
            reporter=_REPORTER,
        )
        note_report(
            message.pk,
            report,
            key=f"{event.provider_id}:{event.happened[0].key}",
            received_at=event.at,
        )
        concerned = whom_it_concerns(report, message.recipients)
        _suppress(Tenant(pk=tenant_id), [told for told, recipient in concerned if recipient])
    return True


def _find(tenant_id: UUID, event: SesEvent) -> OutboxMessage | None:
    rows = OutboxMessage.objects.filter(tenant_id=tenant_id)
    found = rows.filter(provider_id=event.provider_id).first()
    if found is None and event.message_id:
        found = rows.filter(message_id=event.message_id).first()
    return found


def _says_something(kind: EventKind, happened: Happened) -> bool:
    """Not so a vacation message, and a change of a subscription that does not end it."""
    if kind is EventKind.SUBSCRIPTION:
        return happened.verdict is Verdict.OPT_OUT
    return happened.verdict is not Verdict.AUTO_REPLY


def _recipient(kind: EventKind | None, happened: Happened) -> RecipientReport:
    assert kind is not None
    verdict = happened.verdict or _VERDICTS[kind]
    return RecipientReport(
        address=happened.recipient,
        action=_ACTIONS[kind],
        status=happened.status,
        diagnostic=happened.details.get("reason", "") or happened.details.get("reply", ""),
        verdict=verdict,
    )


def _suppress(tenant: Tenant, recipients: Iterable[RecipientReport]) -> None:
    """An address that is gone is gone for campaigns, too."""
    by_verdict: dict[Verdict, list[str]] = {verdict: [] for verdict in _SUPPRESSING}
    for each in recipients:
        if each.verdict in by_verdict:
            try:
                by_verdict[each.verdict].append(normalise_email(each.address))
            except InvalidAddress:
                continue
    for verdict, emails in by_verdict.items():
        _SUPPRESSING[verdict](tenant, emails)

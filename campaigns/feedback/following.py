"""Acting on what SES told: a duty of the dispatcher, in batches of one transaction each.

An event finds its delivery by SES's message id, or by the campaign's tag and the recipient;
one of a single message by SES's id or the Message-ID. Always within the topic's tenant. One
that finds nothing is looked at again for a few minutes, as it may be faster than our own record.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from campaigns.feedback.consequences import draw_consequences
from campaigns.feedback.recording import Report, is_erased, of_another, record_events
from campaigns.feedback.ses_events import Happened, SesEvent, read_event
from campaigns.feedback.single_messages import note_single
from campaigns.links.programs import name_program
from campaigns.models import (
    Campaign,
    Delivery,
    EventKind,
    EventSource,
    SesNotice,
)
from campaigns.resolving import prove_sent, take_back_sent
from mailhub.logs import get_logger
from mailhub.mail.bounce import Verdict, address_form

log = get_logger(__name__)

_AT_ONCE = 200
_TURN_SECONDS = 0.5
_FIRST_PAUSE = timedelta(seconds=2)
_MOST_TRIES = 8
_REMEMBERED = timedelta(days=3)
_BY_A_PERSON = (EventKind.OPEN, EventKind.CLICK)
_NOT_SENT = (EventKind.REJECT, EventKind.RENDERING_FAILURE)
# A vacation message, and what a provider sends on that is no complaint.
_SAYING_NOTHING = (Verdict.AUTO_REPLY, Verdict.NOT_SPAM, Verdict.AUTH_FAILURE)
_TAKEN = "Amazon SES tells that it took the message."


@dataclass(slots=True)
class _Told:
    """A notice and its event; `is_done` once it found what it is about."""

    notice: SesNotice
    event: SesEvent
    is_done: bool = False


def follow_notices() -> int:
    """Act on what is due, the oldest first, for a moment; on how many."""
    if not SesNotice.objects.filter(due_at__lte=timezone.now()).exists():
        return 0
    until, count = time.monotonic() + _TURN_SECONDS, 0
    while True:
        with transaction.atomic():
            notices = _due(_AT_ONCE)
            keys = [notice.pk for notice in notices]
            try:
                with transaction.atomic():
                    _follow(notices)
            except Exception:
                log.exception("notices of SES not followed", first=keys[0], number=len(keys))
                _follow_each(notices)
        count += len(keys)
        if len(keys) < _AT_ONCE or time.monotonic() > until:
            return count


def forget_notices() -> None:
    """Once an hour: forget those that are not told again any more."""
    old = timezone.now() - _REMEMBERED
    SesNotice.objects.filter(received_at__lt=old, due_at=None).delete()


def _due(most: int) -> list[SesNotice]:
    due = SesNotice.objects.filter(due_at__lte=timezone.now()).order_by("due_at", "pk")
    locked = due.select_for_update(skip_locked=True, of=("self",))
    return list(locked.select_related("topic")[:most])


def _follow_each(notices: Sequence[SesNotice]) -> None:
    """One of them is at fault: it is put off, the others are not."""
    for notice in notices:
        try:
            with transaction.atomic():
                _follow([notice])
        except Exception:
            log.exception("a notice of SES not followed", notice=notice.pk)
            _postpone(notice)


def _follow(notices: Sequence[SesNotice]) -> None:
    by_tenant: dict[UUID, list[_Told]] = defaultdict(list)
    done: list[int] = []
    for notice in notices:
        event = read_event(notice.event)
        if event is None:
            done.append(notice.pk)
        else:
            by_tenant[notice.topic.tenant_id].append(_Told(notice, event))
    for tenant_id, told in by_tenant.items():
        _follow_tenant(tenant_id, told)
        done += [each.notice.pk for each in told if each.is_done]
        for each in told:
            if not each.is_done:
                _postpone(each.notice)
    SesNotice.objects.filter(pk__in=done).update(due_at=None, event="")


def _postpone(notice: SesNotice) -> None:
    row = SesNotice.objects.filter(pk=notice.pk)
    if notice.tries + 1 >= _MOST_TRIES:
        row.update(due_at=None, event="")
        return
    due_at = timezone.now() + _FIRST_PAUSE * 2**notice.tries
    row.update(due_at=due_at, tries=notice.tries + 1)


def _follow_tenant(tenant_id: UUID, told: Sequence[_Told]) -> None:
    found = _by_provider_id(tenant_id, told)
    reports: list[Report] = []
    for each in told:
        deliveries = found.get(each.event.provider_id) or _by_tag(tenant_id, each.event)
        if deliveries and not _is_too_early(deliveries, each.event):
            each.is_done = True
            for delivery in deliveries:
                prove_sent(delivery, _TAKEN, provider_id=each.event.provider_id)
                reports += _reports(delivery, each.event)
                if each.event.kind in _NOT_SENT:
                    take_back_sent(delivery, _reason(each.event))
        elif deliveries:
            continue
        else:
            each.is_done = note_single(tenant_id, each.event, each.notice)
    draw_consequences(record_events(reports))


def _by_provider_id(tenant_id: UUID, told: Sequence[_Told]) -> dict[str, list[Delivery]]:
    ids = {each.event.provider_id for each in told}
    rows = Delivery.objects.filter(~Q(provider_id=""), provider_id__in=ids)
    found: dict[str, list[Delivery]] = defaultdict(list)
    for row in rows.filter(campaign__tenant_id=tenant_id).order_by("pk"):
        found[row.provider_id].append(row)
    return found


def _by_tag(tenant_id: UUID, event: SesEvent) -> list[Delivery]:
    """A message of a campaign whose id is not known here, as its answer was lost."""
    if not event.campaign or len(event.sent_to) != 1:
        return []
    campaigns = Campaign.objects.filter(tenant_id=tenant_id, campaign_id=event.campaign)
    keys = list(campaigns.values_list("pk", flat=True))
    return list(Delivery.objects.filter(campaign__in=keys, email=event.sent_to[0], provider_id=""))


def _is_too_early(deliveries: Sequence[Delivery], event: SesEvent) -> bool:
    """Whether our own record of the sending is still to come, and would hide this."""
    in_hand = any(delivery.shift_id is not None for delivery in deliveries)
    return in_hand and event.kind in _NOT_SENT


def _reason(event: SesEvent) -> str:
    return next((each.details.get("reason", "") for each in event.happened), "")


def _reports(delivery: Delivery, event: SesEvent) -> Iterable[Report]:
    for each in event.happened:
        kind = event.kind
        if kind is None or each.verdict in _SAYING_NOTHING:
            continue
        if not _is_about(delivery, each):
            words = each.status or each.verdict or str(kind)
            yield of_another(
                delivery, event.at, EventSource.SES, key=_key(event, each), words=words
            )
            continue
        if kind is EventKind.SUBSCRIPTION and each.verdict is Verdict.OPT_OUT:
            kind = EventKind.UNSUBSCRIBE
        yield Report(
            delivery.pk,
            kind,
            event.at,
            EventSource.SES,
            key=_key(event, each),
            verdict=each.verdict,
            is_automatic=kind in _BY_A_PERSON and _is_automatic(delivery, event),
            details=each.details,
        )


def _is_about(delivery: Delivery, happened: Happened) -> bool:
    """Whether it is told of the recipient, and not of whom a copy was passed on to."""
    is_same = address_form(happened.recipient) == address_form(delivery.email)
    return is_same or not happened.recipient or is_erased(delivery)


def _key(event: SesEvent, happened: Happened) -> str:
    """The same event, told again by another notice, has the same key."""
    return f"{event.provider_id[:80]}:{happened.key}"[:200]


def _is_automatic(delivery: Delivery, event: SesEvent) -> bool:
    return bool(name_program({"User-Agent": event.agent}, event.at, delivery.finished_at))

"""Start, pause, resume, cancel; and how a campaign ends.

Every change of status is a conditional UPDATE from the statuses that allow it, so that two
who act at once cannot both succeed, and a worker cannot undo what a person has just done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from campaigns.engine.shifts import top_up_shifts
from campaigns.models import (
    ACTIVE,
    REMAINING,
    Campaign,
    CampaignStatus,
    Delivery,
    DeliveryState,
    SendShift,
)
from mailhub.encryption import Sealed
from mailhub.errors import Conflict

_NOTHING_LEFT = {"smtp_password": Sealed(""), "retry_at": None, "trouble_since": None}
_NO_TROUBLE = {"retry_at": None, "trouble_since": None, "last_error": ""}
_RETRY_FIRST = timedelta(seconds=5)
_RETRY_LONGEST = timedelta(minutes=1)


def start_campaign(campaign: Campaign) -> None:
    """Let workers send it now, whatever it was scheduled for. Raises Conflict."""
    with transaction.atomic():
        _change(campaign, (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED), CampaignStatus.PENDING)
        top_up_shifts(campaign)


def pause_campaign(campaign: Campaign) -> None:
    """Send nothing more for now; what is on its way ends. Raises Conflict."""
    _change(campaign, (*ACTIVE, CampaignStatus.SCHEDULED), CampaignStatus.PAUSED)


def resume_campaign(campaign: Campaign) -> None:
    """Go on where it was paused. Raises Conflict."""
    status = CampaignStatus.IN_PROGRESS if campaign.started_at else CampaignStatus.PENDING
    if campaign.started_at is None and (campaign.scheduled_at or timezone.now()) > timezone.now():
        status = CampaignStatus.SCHEDULED
    with transaction.atomic():
        _change(campaign, (CampaignStatus.PAUSED,), status, **_NO_TROUBLE)
        top_up_shifts(campaign)


def cancel_campaign(campaign: Campaign) -> None:
    """Send nothing more, for good; what remains is not sent. Raises Conflict."""
    _change(
        campaign,
        (
            *ACTIVE,
            CampaignStatus.DRAFT,
            CampaignStatus.SCHEDULED,
            CampaignStatus.PAUSED,
        ),
        CampaignStatus.CANCELLED,
        completed_at=timezone.now(),
        **_NOTHING_LEFT,
    )


def start_scheduled() -> None:
    """Start the campaigns whose time has come."""
    now = timezone.now()
    for campaign in Campaign.objects.filter(status=CampaignStatus.SCHEDULED, scheduled_at__lte=now):
        with transaction.atomic():
            if _move(campaign, (CampaignStatus.SCHEDULED,), CampaignStatus.PENDING):
                top_up_shifts(campaign)


def reopen(campaign: Campaign) -> None:
    """Let it go on, over or not, for rows that are queued in the same transaction.

    One that is paused stays so. Stores the password that it holds. Raises Conflict for one
    that was cancelled or has not begun.
    """
    fields: dict[str, Any] = {"smtp_password": campaign.smtp_password, **_NO_TROUBLE}
    over = (CampaignStatus.COMPLETED, CampaignStatus.FAILED)
    status = CampaignStatus.IN_PROGRESS if campaign.started_at else CampaignStatus.PENDING
    begun = (CampaignStatus.IN_PROGRESS, CampaignStatus.PAUSED)
    if not _move(campaign, over, status, completed_at=None, **fields) and not _update(
        campaign, begun, smtp_password=campaign.smtp_password
    ):
        _refuse(campaign)


def complete_if_done(campaign: Campaign) -> bool:
    """End a campaign of which nothing remains; whether it is over.

    One of whose messages none was accepted has failed, in the server's last words.
    """
    if campaign.started_at is None or campaign.is_over:
        return campaign.is_over
    if _has_remaining(campaign):
        return False
    with transaction.atomic():
        # Locked, then looked at again: somebody may be having rows sent once more.
        Campaign.objects.select_for_update().filter(pk=campaign.pk).first()
        return not _has_remaining(campaign) and _complete(campaign)


def _has_remaining(campaign: Campaign) -> bool:
    rows = Delivery.objects.filter(campaign=campaign)
    return any(rows.filter(state=state).exists() for state in REMAINING)


def _complete(campaign: Campaign) -> bool:
    rows = Delivery.objects.filter(campaign=campaign)
    status, words = CampaignStatus.COMPLETED, ""
    accepted = (DeliveryState.SENT, DeliveryState.UNCERTAIN)
    refused = rows.filter(state=DeliveryState.FAILED).order_by("-pk")
    if refused.exists() and not any(rows.filter(state=state).exists() for state in accepted):
        status = CampaignStatus.FAILED
        reply = refused.values_list("reply", flat=True)[0]
        words = f"None of the messages was accepted. The last answer: {reply}"
    return _move(
        campaign,
        (CampaignStatus.IN_PROGRESS, CampaignStatus.PAUSED),
        status,
        completed_at=timezone.now(),
        last_error=words,
        **_NOTHING_LEFT,
    )


def note_trouble(campaign: Campaign, words: str, *, is_final: bool) -> None:
    """The server let nobody send. Try again later, unless that is final or has gone on too long.

    Given up, a campaign that has sent something is paused, so that it can be resumed once
    the cause is mended; one that has not has failed.
    """
    now = timezone.now()
    since = campaign.trouble_since or now
    patience = timedelta(seconds=settings.MAILHUB_UNREACHABLE_SECONDS)
    if not is_final and now - since < patience:
        retry_at = now + _pause(now, since)
        _update(campaign, ACTIVE, last_error=words, trouble_since=since, retry_at=retry_at)
    elif Delivery.objects.filter(campaign=campaign, state=DeliveryState.SENT).exists():
        _move(campaign, ACTIVE, CampaignStatus.PAUSED, last_error=words)
    else:
        fail(campaign, words)


def may_try(campaign: Campaign) -> bool:
    """Whether a worker may speak to the server now: always, unless that has trouble.

    Then one may when the next try is due, and whoever asks after it may not, so that the
    server hears of one however many there are.
    """
    now = timezone.now()
    if campaign.trouble_since is None:
        return True
    due = Campaign.objects.filter(pk=campaign.pk, retry_at__lte=now)
    return bool(due.update(retry_at=now + _pause(now, campaign.trouble_since)))


def forget_trouble(campaign: Campaign) -> None:
    """The server takes messages again."""
    if campaign.trouble_since is not None:
        _update(campaign, ACTIVE, **_NO_TROUBLE)


def fail(campaign: Campaign, words: str) -> None:
    """It cannot be carried out; `words` say why."""
    _move(
        campaign,
        ACTIVE,
        CampaignStatus.FAILED,
        last_error=words,
        completed_at=timezone.now(),
        **_NOTHING_LEFT,
    )


def waiting_for_workers() -> list[Campaign]:
    """Active campaigns that no worker has, or was asked to take."""
    at_work = SendShift.objects.values("campaign_id")
    campaigns = Campaign.objects.filter(status__in=ACTIVE, tenant__is_active=True)
    now = timezone.now()
    return [
        campaign
        for campaign in campaigns.exclude(pk__in=at_work)
        if campaign.retry_at is None or campaign.retry_at <= now
    ]


def _pause(now: datetime, since: datetime) -> timedelta:
    """Until the next try: each half as long again as all before, within bounds."""
    return min(max(_RETRY_FIRST, (now - since) / 2), _RETRY_LONGEST)


def _change(
    campaign: Campaign, allowed: Sequence[CampaignStatus], status: CampaignStatus, **fields: Any
) -> None:
    if not _move(campaign, allowed, status, **fields):
        _refuse(campaign)


def _refuse(campaign: Campaign) -> NoReturn:
    campaign.refresh_from_db(fields=["status"])
    raise Conflict(
        f"This campaign is {campaign.get_status_display().lower()}.",
        code="campaign_status",
        details={"status": campaign.status},
    )


def _move(
    campaign: Campaign, allowed: Sequence[CampaignStatus], status: CampaignStatus, **fields: Any
) -> bool:
    return _update(campaign, allowed, status=status, **fields)


def _update(campaign: Campaign, allowed: Sequence[CampaignStatus], **fields: Any) -> bool:
    """Change the row where its status allows it, and this object with it."""
    values = {"updated_at": timezone.now(), **fields}
    moved = Campaign.objects.filter(pk=campaign.pk, status__in=allowed).update(**values)
    if moved:
        for name, value in values.items():
            setattr(campaign, name, value)
    return bool(moved)

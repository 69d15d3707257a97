"""Start, pause, resume, cancel; and how a campaign ends.

Every change of status is a conditional UPDATE from the statuses that allow it, so that two
who act at once cannot both succeed, and a worker cannot undo what a person has just done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
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
    PauseReason,
    SendShift,
)
from campaigns.news import tell_of
from campaigns.servers import ask_anew
from campaigns.tallies import counts_of
from mailhub.encryption import Sealed
from mailhub.errors import Conflict

_NOTHING_LEFT = {
    "smtp_password": Sealed(""),
    "retry_at": None,
    "trouble_since": None,
    "resumes_at": None,
}
_NO_TROUBLE = {
    "retry_at": None,
    "trouble_since": None,
    "resumes_at": None,
    "last_error": "",
    "pause_reason": "",
}
_JUDGED_AFTER, _JUDGED_AT_MOST = 100, 1000
_RETRY_FIRST = timedelta(seconds=5)
_RETRY_LONGEST = timedelta(minutes=1)


def start_campaign(campaign: Campaign) -> None:
    """Let workers send it now, whatever it was scheduled for. Raises Conflict."""
    with transaction.atomic():
        _change(campaign, (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED), CampaignStatus.PENDING)
        top_up_shifts(campaign)


def schedule_campaign(campaign: Campaign) -> None:
    """Let it be started at its `scheduled_at`. Raises Conflict."""
    waiting = (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED)
    _change(campaign, waiting, CampaignStatus.SCHEDULED)


def unschedule_campaign(campaign: Campaign) -> None:
    """Make a draft of it again, which nothing starts. Raises Conflict."""
    _change(campaign, (CampaignStatus.SCHEDULED,), CampaignStatus.DRAFT)


def pause_campaign(campaign: Campaign) -> None:
    """Send nothing more for now; what is on its way ends. Raises Conflict.

    One that is paused until a quota frees stays so until a person resumes it.
    """
    by_person = {"pause_reason": PauseReason.PERSON, "resumes_at": None}
    if campaign.resumes_at is not None and _update(campaign, (CampaignStatus.PAUSED,), **by_person):
        return
    allowed = (*ACTIVE, CampaignStatus.SCHEDULED)
    _change(campaign, allowed, CampaignStatus.PAUSED, **by_person)


def pause_for(campaign: Campaign, reason: PauseReason, words: str) -> bool:
    """Pause it by itself, and say why; whether it was sending."""
    return _move(campaign, ACTIVE, CampaignStatus.PAUSED, pause_reason=reason, last_error=words)


def resume_campaign(campaign: Campaign) -> None:
    """Go on where it was paused; failures until now are not held against it. Raises Conflict."""
    status = CampaignStatus.IN_PROGRESS if campaign.started_at else CampaignStatus.PENDING
    if campaign.started_at is None and (campaign.scheduled_at or timezone.now()) > timezone.now():
        status = CampaignStatus.SCHEDULED
    with transaction.atomic():
        ask_anew(campaign)
        _change(campaign, (CampaignStatus.PAUSED,), status, **_NO_TROUBLE, **_judged_now(campaign))
        campaign.senders.update(trouble="")
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
    fields: dict[str, Any] = {
        "smtp_password": campaign.smtp_password,
        **_NO_TROUBLE,
        **_judged_now(campaign),
    }
    over = (CampaignStatus.COMPLETED, CampaignStatus.FAILED)
    status = CampaignStatus.IN_PROGRESS if campaign.started_at else CampaignStatus.PENDING
    begun = (CampaignStatus.IN_PROGRESS, CampaignStatus.PAUSED)
    if not _move(campaign, over, status, completed_at=None, **fields) and not _update(
        campaign, begun, smtp_password=campaign.smtp_password
    ):
        refuse_status(campaign)


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
        pause_for(campaign, PauseReason.TROUBLE, words)
    else:
        fail(campaign, words)


def pause_for_quota(campaign: Campaign, words: str, frees_in: float) -> None:
    """Its provider's daily quota is used up: it goes on by itself in so many seconds.

    Told of once, however often it is tried in vain before some of the quota is free.
    """
    is_news = campaign.resumes_at is None
    resumes_at = timezone.now() + timedelta(seconds=frees_in)
    fields = {
        "last_error": words,
        "pause_reason": PauseReason.QUOTA,
        "resumes_at": resumes_at,
    }
    with transaction.atomic():
        paused = _update(campaign, ACTIVE, status=CampaignStatus.PAUSED, **fields)
        if paused and is_news:
            tell_of(campaign)


def note_warning(campaign: Campaign, words: str) -> None:
    """Something is wrong that does not stop it yet, and is shown with it while it goes on."""
    _update(campaign, (*ACTIVE, CampaignStatus.PAUSED), last_error=words)


def pause_for_rates(campaign: Campaign, reason: PauseReason, words: str) -> None:
    """Too much of it comes back; a person decides whether it goes on."""
    if not pause_for(campaign, reason, words):
        _update(campaign, (CampaignStatus.PAUSED, CampaignStatus.COMPLETED), last_error=words)


def resume_freed() -> None:
    """Let those go on whose provider may take messages again."""
    now = timezone.now()
    for campaign in Campaign.objects.filter(status=CampaignStatus.PAUSED, resumes_at__lte=now):
        with transaction.atomic():
            if _update(campaign, (CampaignStatus.PAUSED,), status=CampaignStatus.IN_PROGRESS):
                top_up_shifts(campaign)


class Judgement(Enum):
    """How a campaign's failures are to be seen; UNKNOWN of too few messages."""

    GOOD = "good"
    NEAR = "near"
    PAUSED = "paused"
    UNKNOWN = "unknown"


def judge_failures(campaign: Campaign) -> Judgement:
    """Pause it where too many of the latest messages failed; half of that is near.

    Asked of at least a hundred messages, and of no more than the latest thousand or two, so
    that a campaign does not have to lose for long what it gained at its beginning.
    """
    if campaign.failure_limit is None:
        return Judgement.GOOD
    rows = Campaign.objects.filter(pk=campaign.pk)
    now = _judged_now(campaign)
    sent_before, failed_before = rows.values_list("judged_sent", "judged_failed").get()
    failed = now["judged_failed"] - failed_before
    tried = now["judged_sent"] - sent_before + failed
    if tried < _JUDGED_AFTER:
        return Judgement.UNKNOWN
    if 100 * failed >= campaign.failure_limit * tried:
        words = (
            f"{failed:,} of the last {tried:,} messages failed, and it pauses at "
            f"{campaign.failure_limit} %. See what the servers said before it goes on."
        )
        pause_for(campaign, PauseReason.FAILURES, words)
        return Judgement.PAUSED
    if tried >= _JUDGED_AT_MOST:
        rows.filter(judged_sent=sent_before, judged_failed=failed_before).update(**now)
    return Judgement.NEAR if 200 * failed >= campaign.failure_limit * tried else Judgement.GOOD


def _judged_now(campaign: Campaign) -> dict[str, int]:
    """How many were sent, and how many failed, up to now."""
    counts = counts_of([campaign.pk]).get(campaign.pk, {})
    return {
        "judged_sent": counts.get(DeliveryState.SENT, 0),
        "judged_failed": counts.get(DeliveryState.FAILED, 0),
    }


def change_pace(campaign: Campaign, fields: Mapping[str, int | None]) -> None:
    """Other rate limits, or another limit of failures, also while it goes. Raises Conflict.

    Workers take them up within half a second.
    """
    begun = (*ACTIVE, CampaignStatus.PAUSED)
    waiting = (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED)
    if not _update(campaign, (*waiting, *begun), **fields, paced_until=None):
        refuse_status(campaign)


def hold_back(campaign: Campaign, seconds: float) -> None:
    """Its rate limits let nothing go for so long: no worker is asked for it until then."""
    _update(campaign, ACTIVE, paced_until=timezone.now() + timedelta(seconds=seconds))


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
    if campaign.trouble_since is not None or campaign.resumes_at is not None:
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
        if (campaign.retry_at or now) <= now and (campaign.paced_until or now) <= now
    ]


def _pause(now: datetime, since: datetime) -> timedelta:
    """Until the next try: each half as long again as all before, within bounds."""
    return min(max(_RETRY_FIRST, (now - since) / 2), _RETRY_LONGEST)


def _change(
    campaign: Campaign, allowed: Sequence[CampaignStatus], status: CampaignStatus, **fields: Any
) -> None:
    if not _move(campaign, allowed, status, **fields):
        refuse_status(campaign)


def refuse_status(campaign: Campaign) -> NoReturn:
    """Raise Conflict, which says in what status it is."""
    campaign.refresh_from_db(fields=["status"])
    raise Conflict(
        f"This campaign is {campaign.get_status_display().lower()}.",
        code="campaign_status",
        details={"status": campaign.status},
    )


def _move(
    campaign: Campaign, allowed: Sequence[CampaignStatus], status: CampaignStatus, **fields: Any
) -> bool:
    with transaction.atomic():
        moved = _update(campaign, allowed, status=status, **fields)
        if moved:
            tell_of(campaign)
    return moved


def _update(campaign: Campaign, allowed: Sequence[CampaignStatus], **fields: Any) -> bool:
    """Change the row where its status allows it, and this object with it."""
    values = {"updated_at": timezone.now(), **fields}
    moved = Campaign.objects.filter(pk=campaign.pk, status__in=allowed).update(**values)
    if moved:
        for name, value in values.items():
            setattr(campaign, name, value)
    return bool(moved)

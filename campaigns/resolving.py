"""What a person decides about recipients that no worker will write to again by itself.

uncertain: sent again, which may reach somebody twice, or counted as sent. failed: tried
again. Whoever is to be written to once more is queued in the same transaction that makes
the campaign go on, so that no such row is ever in a campaign that is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.utils import timezone

from campaigns.audience import not_mailable
from campaigns.engine.shifts import top_up_shifts
from campaigns.feedback.recording import forget_bounces
from campaigns.lifecycle import refuse_status, reopen
from campaigns.models import (
    REMAINING,
    Campaign,
    CampaignSender,
    CampaignStatus,
    Delivery,
    DeliveryState,
)
from campaigns.models.delivery import LONGEST_PROVIDER_ID
from campaigns.news import tell_of_outcomes
from contacts.models import Contact
from mailhub.errors import InvalidInput

NOT_SENT = "Amazon SES took the message and did not send it:"
_ROWS_A_PIECE = 500


class Resolution(StrEnum):
    """What is to become of the uncertain ones."""

    RESEND = "resend"
    MARK_SENT = "mark_sent"


def resend_uncertain(campaign: Campaign, *, password: str = "") -> int:
    """Send again to everybody who is uncertain, some of whom may have the message; how many.

    `password` is the server's, needed where it came with the campaign and was erased at the
    end; it is sealed until the next end. Raises Conflict for one that was cancelled or has
    not begun, InvalidInput for the password. Does nothing where nobody is uncertain.
    """
    pieces = list(_pieces(campaign, DeliveryState.UNCERTAIN))
    return _send_again(campaign, DeliveryState.UNCERTAIN, pieces, password)


class Retried(NamedTuple):
    """How many are tried again, and how many failed ones stay so, as nobody may write to them."""

    queued: int
    left: int


def retry_failed(campaign: Campaign, *, password: str = "") -> Retried:
    """Try everybody again who failed and may be written to. As `resend_uncertain` otherwise.

    Who was refused for good is suppressed, and keeps the server's words. A campaign that
    failed as a whole goes on with those too whom it had not come to.
    """
    failed = list(_pieces(campaign, DeliveryState.FAILED))
    pieces = [keys for keys in (_mailable(campaign, piece) for piece in failed) if keys]
    if not pieces and _has_failed_before_the_end(campaign):
        pieces = [[]]
    queued = _send_again(campaign, DeliveryState.FAILED, pieces, password)
    return Retried(queued, sum(map(len, failed)) - sum(map(len, pieces)))


def _mailable(campaign: Campaign, keys: Sequence[int]) -> list[int]:
    """Those of these rows to whom a message would go if they were tried again."""
    rows = Delivery.objects.filter(pk__in=keys).order_by("pk")
    found = list(rows.values_list("pk", "email", "contact_id", "contact__email"))
    contacts = {contact: email for _, _, contact, email in found if contact is not None}
    reasons = not_mailable(campaign.tenant, contacts, [email for _, email, _, _ in found])
    return [pk for pk, email, _, own in found if email not in reasons and own not in reasons]


def mark_uncertain_sent(campaign: Campaign, *, by: str) -> int:
    """Count everybody who is uncertain as sent, in the words of who decided; how many."""
    now = timezone.now()
    words = Concat(Value(f"{by} marked it as sent. "), F("reply"))
    marked = 0
    for keys in _pieces(campaign, DeliveryState.UNCERTAIN):
        with transaction.atomic():
            rows = _locked(keys, DeliveryState.UNCERTAIN)
            contacts = [contact for contact in rows.values() if contact is not None]
            marked += Delivery.objects.filter(pk__in=rows).update(
                state=DeliveryState.SENT, reply=words, finished_at=now
            )
            Contact.objects.note_mailing(contacts, campaign.campaign_id, now)
    return marked


def needs_password(campaign: Campaign) -> bool:
    """Whether its server wants a login whose password was erased at the end."""
    is_own = campaign.sender == CampaignSender.SERVER
    return is_own and bool(campaign.smtp_username) and not campaign.smtp_password


def _send_again(
    campaign: Campaign, state: DeliveryState, pieces: Sequence[Sequence[int]], password: str
) -> int:
    if campaign.status in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
        refuse_status(campaign)
    if pieces:
        _check_password(campaign, password)
    queued = 0
    for keys in pieces:
        with transaction.atomic():
            # Deliveries, tally, campaign: in this order those lock them who note what came back.
            rows = list(_locked(keys, state))
            queued += Delivery.objects.filter(pk__in=rows).update(
                state=DeliveryState.QUEUED, finished_at=None
            )
            forget_bounces(campaign, rows)
            if password:
                campaign.keep_smtp_password(password)
            reopen(campaign)
            top_up_shifts(campaign)
    return queued


def _has_failed_before_the_end(campaign: Campaign) -> bool:
    remaining = Delivery.objects.filter(campaign=campaign, state__in=REMAINING)
    return campaign.status == CampaignStatus.FAILED and (
        campaign.started_at is None or remaining.exists()
    )


def _check_password(campaign: Campaign, password: str) -> None:
    if password and campaign.sender != CampaignSender.SERVER:
        words = "This campaign has no server of its own to which a password could belong."
        raise InvalidInput.field("smtp_password", words)
    if needs_password(campaign) and not password:
        words = "Give the server's password again: it was erased when the campaign ended."
        raise InvalidInput(
            words, code="smtp_password_needed", details={"fields": {"smtp_password": [words]}}
        )


def prove_sent(delivery: Delivery, words: str, *, provider_id: str = "") -> None:
    """Something came back of it: one that is uncertain was sent after all."""
    if delivery.state == DeliveryState.UNCERTAIN:
        uncertain = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.UNCERTAIN)
        uncertain.update(
            state=DeliveryState.SENT, provider_id=provider_id[:LONGEST_PROVIDER_ID], reply=words
        )


def take_back_sent(delivery: Delivery, reason: str) -> None:
    """Its provider took it, and then did not send it: it has failed, for this reason."""
    words = f"{NOT_SENT} {reason or 'it does not say why.'}"
    sent = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.SENT)
    if sent.update(state=DeliveryState.FAILED, reply=words) and delivery.finished_at:
        tell_of_outcomes(delivery.campaign, [delivery.pk], delivery.finished_at)


def _pieces(campaign: Campaign, state: DeliveryState) -> Iterator[Sequence[int]]:
    """Those who are in this state now, and not who comes into it while they are dealt with."""
    rows = Delivery.objects.filter(campaign=campaign, state=state)
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), _ROWS_A_PIECE):
        yield keys[start : start + _ROWS_A_PIECE]


def _locked(keys: Sequence[int], state: DeliveryState) -> dict[int, int | None]:
    """Of these rows the ones still in this state, with their contacts."""
    rows = Delivery.objects.select_for_update().filter(pk__in=keys, state=state).order_by("pk")
    return dict(rows.values_list("pk", "contact_id"))

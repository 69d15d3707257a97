"""Rates of bounces and complaints at which a campaign is warned of, and at which it is paused.

Amazon SES reviews an account at 5 % of bounces or 0.1 % of complaints, and mailbox providers
act alike: half of that warns. Few messages mean nothing: 1,000 must have been sent, and five
have complained.
https://docs.aws.amazon.com/ses/latest/dg/reputationdashboardmessages.html
"""

from __future__ import annotations

from dataclasses import dataclass

from campaigns.lifecycle import note_warning, pause_for_rates
from campaigns.models import (
    Campaign,
    DeliveryEvent,
    DeliveryState,
    PauseReason,
    ResponseTally,
)
from campaigns.standing import Standing
from campaigns.tallies import counts_of
from mailhub.mail.bounce import Verdict

MOST_BOUNCES = 0.05
MOST_COMPLAINTS = 0.001
WARNED_AT = 0.5
LEAST_SENT = 1_000
LEAST_COMPLAINTS = 5
_LIMITS = (
    f"It is paused at {100 * MOST_BOUNCES:g} % of bounces or {100 * MOST_COMPLAINTS:g} % of"
    " complaints."
)


@dataclass(frozen=True, slots=True)
class Rates:
    """`bounced` are hard bounces alone: those are what a provider holds against a sender."""

    sent: int
    bounced: int
    complained: int

    @property
    def bounce_rate(self) -> float:
        """The part that came back for good, 0 to 1."""
        return _part(self.bounced, self.sent)

    @property
    def complaint_rate(self) -> float:
        """The part that complained, 0 to 1."""
        return _part(self.complained, self.sent)

    @property
    def standing(self) -> Standing:
        """The worse of both."""
        if self.sent < LEAST_SENT:
            return Standing.GOOD
        parts = [self.bounce_rate / MOST_BOUNCES]
        if self.complained >= LEAST_COMPLAINTS:
            parts.append(self.complaint_rate / MOST_COMPLAINTS)
        if max(parts) >= 1:
            return Standing.BAD
        return Standing.WARNING if max(parts) >= WARNED_AT else Standing.GOOD

    @property
    def words(self) -> str:
        """Both rates, for a person."""
        return (
            f"{100 * self.bounce_rate:.1f} % of {self.sent:,} messages bounced for good, and "
            f"{100 * self.complaint_rate:.2f} % of the recipients complained."
        )


def _part(number: int, whole: int) -> float:
    """What comes back may be told before the sending is: never more than all."""
    return number / max(whole, number) if whole else 0.0


def rates_of(campaign: Campaign) -> Rates:
    """As far as is known now."""
    states = counts_of([campaign.pk]).get(campaign.pk, {})
    complained = ResponseTally.objects.filter(pk=campaign.pk).values_list("complained", flat=True)
    bounces = DeliveryEvent.objects.filter(campaign=campaign).standing_bounces()
    return Rates(
        sent=states.get(DeliveryState.SENT, 0) + states.get(DeliveryState.FAILED, 0),
        bounced=bounces.filter(verdict=Verdict.HARD).values("delivery").distinct().count(),
        complained=next(iter(complained), 0),
    )


def watch_rates(campaign: Campaign) -> Rates:
    """Something came back of this campaign: warn, or pause it, where that is too much."""
    rates = rates_of(campaign)
    match rates.standing:
        case Standing.BAD:
            why = "Providers close the accounts of such senders."
            is_bounces = rates.bounce_rate >= MOST_BOUNCES
            reason = PauseReason.BOUNCES if is_bounces else PauseReason.COMPLAINTS
            pause_for_rates(campaign, reason, f"Too much came back: {rates.words} {why}")
        case Standing.WARNING:
            note_warning(campaign, f"Much came back: {rates.words} {_LIMITS}")
    return rates

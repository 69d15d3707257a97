"""The senders of a campaign, side by side: each writes its messages and has its own way out.

A campaign has one, or several accounts with shares. Whom each writes to is told from the
delivery's number, so that a second attempt comes from the same one. What a sender may not or
cannot send, the others do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from campaigns.composing import Composer
from campaigns.engine.allowance import Allowance, Grant
from campaigns.engine.sender import MakeTransport, Sender
from campaigns.models import Campaign, SenderShare
from campaigns.senders import as_share
from campaigns.servers import connections_for
from mailhub.encryption import SecretUnreadable
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError, SendingHeld

log = get_logger(__name__)


@dataclass
class Lane:
    """One sender in a worker's shift; `number` is its place among them.

    `campaign` is the campaign as this one sends it, `connections` how many it may have.
    `is_gone` turns true where its account was deleted meanwhile.
    """

    campaign: Campaign
    composer: Composer
    make_transport: MakeTransport
    connections: int
    allowance: Allowance
    share: SenderShare | None = None
    number: int = 0
    senders: list[Sender] = field(default_factory=list)
    is_gone: bool = False

    @property
    def weight(self) -> int:
        """Its part of the recipients, of the weights of all."""
        return self.share.weight if self.share is not None else 1

    @property
    def is_dead(self) -> bool:
        """Whether its connections are no good, or its provider takes nothing now."""
        if self.is_gone:
            return True
        if not self.senders:
            return False
        return self._held is not None or all(sender.is_over for sender in self.senders)

    @property
    def trouble(self) -> MailError | None:
        """Why no connection was left to send over; a final reason first."""
        if self._held is not None:
            return self._held
        troubles = [sender.trouble for sender in self.senders if sender.trouble is not None]
        if not troubles or len(troubles) < len(self.senders):
            return None
        return max(troubles, key=lambda error: error.permanent)

    @property
    def _held(self) -> MailError | None:
        """Why the provider takes nothing now, from whichever connection."""
        troubles = (sender.trouble for sender in self.senders)
        return next((each for each in troubles if isinstance(each, SendingHeld)), None)


def open_lanes(campaign: Campaign, connect: Callable[[Campaign], MakeTransport]) -> list[Lane]:
    """The senders that can be used. Raises what the last one met where none can.

    One that cannot is left out from then on, and its row says why, as long as another can.
    """
    shares = list(campaign.senders.select_related("account__credential", "account__tenant"))
    usable = [share for share in shares if not share.trouble]
    if not usable:
        # None is left: each may have been mended.
        usable = shares
    if not usable:
        return [_lane(campaign, connect)]
    lanes: list[Lane] = []
    troubles: list[tuple[SenderShare, MailhubError | MailError | SecretUnreadable]] = []
    for share in usable:
        try:
            lanes.append(_lane(as_share(campaign, share), connect, share, len(lanes)))
        except (MailError, MailhubError, SecretUnreadable) as error:
            troubles.append((share, error))
    if not lanes:
        raise troubles[-1][1]
    for share, reason in troubles:
        leave_out(share, str(reason))
    return lanes


def leave_out(share: SenderShare, words: str) -> None:
    """This sender sends nothing more of its campaign until that is resumed."""
    log.warning("a sender is left out", sender=str(share), error=words)
    SenderShare.objects.filter(pk=share.pk).update(trouble=words)


def look_for_accounts(lanes: Sequence[Lane]) -> None:
    """Those of several whose accounts were deleted, or were taken from the campaign, are gone."""
    shares = {lane.share.pk: lane for lane in lanes if lane.share is not None}
    if shares:
        there = set(SenderShare.objects.filter(pk__in=shares).values_list("pk", flat=True))
        for key, lane in shares.items():
            lane.is_gone = key not in there


def divide(lanes: Sequence[Lane], wanted: int) -> list[Grant]:
    """How many of `wanted` messages each of these may send now, by weights and rate limits."""
    whole = sum(lane.weight for lane in lanes)
    parts = [math.ceil(wanted * lane.weight / whole) for lane in lanes]
    grants = [lane.allowance.take(part) for lane, part in zip(lanes, parts, strict=True)]
    left = wanted - sum(grant.count for grant in grants)
    for number, lane in enumerate(lanes):
        # What the others may not send now, as the campaign's own rate is used up by it.
        if left > 0 and grants[number].count == parts[number]:
            more = lane.allowance.take(left).count
            grants[number] = Grant(parts[number] + more)
            left -= more
    return grants


def choose(lanes: Sequence[Lane], delivery: int, left: dict[int, int]) -> Lane | None:
    """Who writes to this delivery: the one whose part it is, else who may send most now."""
    if len(lanes) == 1:
        [own] = lanes
        left[own.number] -= 1
        return own if left[own.number] >= 0 else None
    position = delivery % sum(lane.weight for lane in lanes)
    own = lanes[0]
    for own in lanes:
        position -= own.weight
        if position < 0:
            break
    chosen = own if left[own.number] > 0 else max(lanes, key=lambda lane: left[lane.number])
    if left[chosen.number] <= 0:
        return None
    left[chosen.number] -= 1
    return chosen


def _lane(
    campaign: Campaign,
    connect: Callable[[Campaign], MakeTransport],
    share: SenderShare | None = None,
    number: int = 0,
) -> Lane:
    key = f"account:{campaign.account_id}" if share is not None else f"lane:{campaign.pk}"
    allowance = Allowance(key, share if share is not None else SenderShare())
    return Lane(
        campaign=campaign,
        composer=Composer.of(campaign),
        make_transport=connect(campaign),
        connections=connections_for(campaign),
        allowance=allowance,
        share=share,
        number=number,
    )

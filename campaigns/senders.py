"""A campaign as each of its senders sends it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from uuid import UUID

from campaigns.models import Campaign, CampaignSender, SenderShare

# In place of the address of an account that was deleted since.
REMOVED = "an account that was removed"


def sent_as(campaign: Campaign) -> list[Campaign]:
    """The campaign as each of its senders sends it; itself where it has no shares."""
    shares = list(campaign.senders.select_related("account__credential"))
    return [as_share(campaign, share) for share in shares] or [campaign]


def as_share(campaign: Campaign, share: SenderShare) -> Campaign:
    """The campaign as this sender sends it; not to be saved."""
    own = copy.copy(campaign)
    own.sender, own.account = CampaignSender.ACCOUNT, share.account
    own.from_email = share.from_email or share.account.email_address
    return own


def addresses_of(campaigns: Iterable[int]) -> dict[tuple[int, UUID | None], str]:
    """From which address each of several accounts sends: by campaign's and account's keys."""
    shares = SenderShare.objects.filter(campaign__in=list(campaigns)).select_related("account")
    return {
        (share.campaign_id, share.account_id): share.from_email or share.account.email_address
        for share in shares
    }

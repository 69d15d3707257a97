"""A campaign as each of its senders sends it."""

from __future__ import annotations

import copy

from campaigns.models import Campaign, CampaignSender, SenderShare


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

"""Every type of event: when it happens, and what its data holds.

Data name things by their ids and hold nothing of a message: a webhook belongs to the
tenant, whose admins see that an account exists and never its mail. Who may read the mail
asks the API for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventType:
    """`fields` are the names in `data`, written as the resource that they belong to does.

    One with `by_name` comes once for each of many recipients: a webhook for all events is not
    told of it unless it names it.
    """

    name: str
    happens: str
    fields: tuple[str, ...]
    by_name: bool = False


_CAMPAIGN = ("campaign_id", "campaign_name", "status", "last_error")
_DELIVERY = ("campaign_id", "email", "message_id", "at")

TEST = EventType("webhook.test", "somebody asked for a test", ("event_webhook_id",))

_TYPES = (
    EventType(
        "message.received",
        "new mail lies in a folder and can be read; not for old mail that is read for the first "
        "time, nor for drafts, sent and trashed messages, nor for one that moves",
        ("accountId", "id", "threadId", "folderIds"),
    ),
    EventType(
        "message.bounced",
        "a message that was sent came back from a recipient: `status` is bounced where it came "
        "back from all",
        ("accountId", "outboxId", "status"),
    ),
    EventType("account.connected", "a user connected a mail account", ("accountId",)),
    EventType("account.disconnected", "a mail account was removed", ("accountId",)),
    EventType(
        "account.disabled",
        "an account was switched off, because its mail server refused it time after time, or "
        "because the permission to use it was revoked at its OAuth2 provider (`consent_revoked`)",
        ("accountId", "code", "reason"),
    ),
    EventType(
        "sync.failed",
        "an account could not be synced, the first time after it could",
        ("accountId", "syncId", "code", "reason", "isPermanent"),
    ),
    EventType("campaign.started", "a campaign is being sent, or goes on after a pause", _CAMPAIGN),
    EventType("campaign.paused", "a campaign was paused, by a person or by trouble", _CAMPAIGN),
    EventType("campaign.completed", "nothing of a campaign remains to be sent", _CAMPAIGN),
    EventType("campaign.failed", "a campaign could not be carried out", _CAMPAIGN),
    EventType("campaign.cancelled", "a person cancelled a campaign", _CAMPAIGN),
    EventType(
        "delivery.sent", "the server accepted a message of a campaign", _DELIVERY, by_name=True
    ),
    EventType(
        "delivery.failed",
        "a message of a campaign was refused for good while it was sent",
        (*_DELIVERY, "reply"),
    ),
    EventType(
        "delivery.bounced",
        "a message of a campaign came back; `verdict` is hard, soft, unclear, policy, content or "
        "sender",
        (*_DELIVERY, "verdict", "reason"),
    ),
    EventType("delivery.complained", "a recipient called a message spam", _DELIVERY),
    EventType(
        "delivery.unsubscribed", "a recipient unsubscribed by the link of a message", _DELIVERY
    ),
    EventType("delivery.opened", "a person opened a message, each time", _DELIVERY, by_name=True),
    EventType(
        "delivery.clicked",
        "a person followed a link of a message, each time",
        (*_DELIVERY, "url"),
        by_name=True,
    ),
)

# What a webhook may ask for, by name.
CATALOGUE = {kind.name: kind for kind in _TYPES}

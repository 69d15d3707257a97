"""What campaigns hold about a person: its deliveries, and its address where it was named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import CharField, F, QuerySet, Value
from django.db.models.functions import Cast, Coalesce, Concat
from django.utils import timezone

from accounts.models import Tenant
from campaigns.audience import EMAILS, ERASED, ERASED_DOMAIN
from campaigns.delivery_keys import keep_audiences
from campaigns.models import (
    RESPONSES,
    Campaign,
    CampaignAudience,
    Delivery,
    DeliveryEvent,
    DeliveryState,
    EventKind,
    EventSource,
)
from contacts.holdings import Happening, register_holder
from contacts.models import Contact
from mailhub.mail.bounce import Verdict

_OF_AN_EVENT = ("at", "kind", "verdict", "is_automatic", "source", "details")
# One may name very many addresses.
_AUDIENCES_AT_ONCE = 10
_COMING_BACK = (EventKind.BOUNCE, EventKind.COMPLAINT)


class Deliveries:
    """Every message that was or will be sent to a person by a campaign."""

    def held(
        self, tenant: Tenant, contact: Contact | None, email: str
    ) -> Mapping[str, Sequence[dict[str, Any]]]:
        """Oldest first."""
        return {
            "audiences": self._audiences(tenant, email),
            "deliveries": self._deliveries(_keys(tenant, contact, email)),
        }

    def _audiences(self, tenant: Tenant, email: str) -> list[dict[str, Any]]:
        named = _naming_addresses(tenant).select_related("campaign").order_by("campaign")
        return [
            {
                "campaign_id": audience.campaign.campaign_id,
                "campaign_name": audience.campaign.name,
            }
            for audience in named.iterator(_AUDIENCES_AT_ONCE)
            if email in audience.rule[EMAILS]
        ]

    def _deliveries(self, keys: Sequence[int]) -> list[dict[str, Any]]:
        rows = Delivery.objects.filter(pk__among=keys).order_by("pk")
        return [
            {
                "email": row.email,
                "attempts": row.attempts,
                "message_id": row.message_id,
                "finished_at": row.finished_at,
                **{f"{name}_at": getattr(row, f"{name}_at") for name in RESPONSES},
                "events": [
                    {name: getattr(event, name) for name in _OF_AN_EVENT}
                    for event in sorted(row.events.all(), key=lambda event: event.at)
                ],
                **_said(row),
            }
            for row in rows.select_related("campaign").prefetch_related("events")
        ]

    def happened(self, contact: Contact, before: datetime, most: int) -> Sequence[Happening]:
        """Deliveries when they ended, or their campaigns were made, and what came back of them."""
        keys = _keys(contact.tenant, contact, contact.email)
        rows = Delivery.objects.filter(pk__among=keys).select_related("campaign")
        dated = rows.annotate(at=Coalesce("finished_at", "campaign__created_at"))
        newest = dated.filter(at__lte=before).order_by("-at", "-pk")[:most]
        return [
            *(
                Happening(row.finished_at or row.campaign.created_at, "delivery", _said(row))
                for row in newest
            ),
            *_came_back(keys, before, most),
        ]

    def erase(self, tenant: Tenant, contact: Contact | None, email: str) -> None:
        """The rows stay, for a campaign's numbers are true; whom they name is gone.

        One that is being sent just now ends as it ends.
        """
        # First, as whoever writes an audience has its row before it looks for contacts.
        self._erase_from_audiences(tenant, email)
        keep_audiences(tenant)
        keys = _keys(tenant, contact, email)
        waiting = Delivery.objects.remaining().filter(pk__among=keys, shift=None)
        waiting.update(
            state=DeliveryState.SKIPPED, next_attempt_at=None, finished_at=timezone.now()
        )
        Delivery.objects.filter(pk__among=keys).update(
            email=Concat(Value("erased-"), Cast(F("pk"), CharField()), Value(f"@{ERASED_DOMAIN}")),
            message_id="",
            reply=Value(ERASED),
        )
        DeliveryEvent.objects.filter(delivery__in=keys).update(details={})

    def _erase_from_audiences(self, tenant: Tenant, email: str) -> None:
        """In its place, for how many are written down is counted from the beginning."""
        for audience in _naming_addresses(tenant).select_for_update():
            emails: list[str] = audience.rule[EMAILS]
            if email in emails:
                place = emails.index(email)
                emails[place] = f"erased-{place}@{ERASED_DOMAIN}"
                audience.save(update_fields=["rule"])


def _keys(tenant: Tenant, contact: Contact | None, email: str) -> list[int]:
    """Of the deliveries to the contact, and to the address where it stood alone.

    Each is found by an index of its own: the address at one look for each of the tenant's
    campaigns. Asked for at once, PostgreSQL would read all deliveries.
    """
    campaigns = Campaign.objects.filter(tenant=tenant).values_list("pk", flat=True)
    bare = Delivery.objects.filter(campaign__in=list(campaigns), email=email)
    keys = set(bare.values_list("pk", flat=True))
    if contact is not None:
        keys.update(Delivery.objects.filter(contact=contact).values_list("pk", flat=True))
    return sorted(keys)


def _naming_addresses(tenant: Tenant) -> QuerySet[CampaignAudience]:
    return CampaignAudience.objects.filter(campaign__tenant=tenant, rule__has_key=EMAILS)


def _came_back(keys: Sequence[int], before: datetime, most: int) -> Iterator[Happening]:
    """Bounces and complaints; what was refused at once is told with the delivery."""
    events = DeliveryEvent.objects.filter(
        delivery__in=keys, kind__in=_COMING_BACK, at__lte=before
    ).exclude(source=EventSource.REPLY)
    named = events.select_related("campaign").only(
        "at", "kind", "verdict", "details", "campaign__campaign_id", "campaign__name"
    )
    for event in named.order_by("-at", "-pk")[:most]:
        details = {
            "campaign_id": event.campaign.campaign_id,
            "campaign_name": event.campaign.name,
            "verdict": event.verdict or Verdict.UNCLEAR,
            "reply": event.details.get("reason", ""),
        }
        yield Happening(event.at, event.kind, details)


def _said(row: Delivery) -> dict[str, Any]:
    return {
        "campaign_id": row.campaign.campaign_id,
        "campaign_name": row.campaign.name,
        "state": row.shown_state,
        "reply": row.reply,
    }


def register() -> None:
    """Let requests about a person reach its deliveries."""
    register_holder(Deliveries())

"""Publishing: an event is a row that is committed with the change that it tells of.

So none is lost, and none tells of what did not happen, whatever is killed in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.events.catalogue import CATALOGUE, TEST
from accounts.models import Event, EventDelivery, EventWebhook


def is_wanted(tenant_id: UUID, event_type: str) -> bool:
    """Whether anybody is to be told of such events: one look at a small table."""
    return bool(_listening(tenant_id, event_type))


def publish(tenant_id: UUID, event_type: str, data: Mapping[str, Any]) -> None:
    """Tell the tenant's webhooks of something; to be called in the transaction of the change."""
    publish_many(tenant_id, event_type, [data])


def publish_many(tenant_id: UUID, event_type: str, data: Sequence[Mapping[str, Any]]) -> None:
    """One event for each of `data`. Nothing is written where nobody wants to be told."""
    kind = CATALOGUE[event_type]
    assert all(set(each) == set(kind.fields) for each in data), f"{kind.name} holds {kind.fields}"
    if data:
        _write(tenant_id, kind.name, data, _listening(tenant_id, kind.name))


def publish_test(webhook: EventWebhook) -> Event:
    """An event for this webhook alone, whatever it wants to be told of."""
    data = {"event_webhook_id": str(webhook.pk)}
    return _write(webhook.tenant_id, TEST.name, [data], [webhook.pk])[0]


def _listening(tenant_id: UUID, event_type: str) -> list[UUID]:
    rows = EventWebhook.objects.filter(tenant_id=tenant_id, is_enabled=True)
    by_name = CATALOGUE[event_type].by_name
    return [row.pk for row in rows.only("events") if row.wants(event_type, by_name=by_name)]


def _write(
    tenant_id: UUID, event_type: str, data: Sequence[Mapping[str, Any]], webhooks: Sequence[UUID]
) -> list[Event]:
    if not webhooks:
        return []
    now = timezone.now()
    events = [
        Event(tenant_id=tenant_id, type=event_type, data=dict(each), created_at=now)
        for each in data
    ]
    with transaction.atomic():
        Event.objects.bulk_create(events)
        EventDelivery.objects.bulk_create(
            EventDelivery(webhook_id=webhook_id, event=event, next_attempt_at=now)
            for webhook_id in webhooks
            for event in events
        )
    return events

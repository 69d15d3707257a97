"""Something that happened and that somebody wants to be told of."""

from __future__ import annotations

import secrets
import time
import uuid

from django.db import models

from accounts.scope import TenantOwned, TenantQuerySet


def time_ordered_id() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562 section 5.7): rows that arrive together lie together.

    Numbers from a sequence would come a second time after a backup is restored, and
    receivers would take new events for old ones.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    number = (
        milliseconds << 80 | 7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    )
    return uuid.UUID(int=number)


class EventQuerySet(TenantQuerySet["Event"]):
    """Events."""


class Event(TenantOwned):
    """`type` is a name of `accounts.events.catalogue`, and says what `data` holds."""

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    type = models.CharField(max_length=60)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_index=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        db_table = "events"

    def __str__(self) -> str:
        return f"{self.type} {self.public_id}"

    @property
    def public_id(self) -> str:
        """The id that receivers see, the same at every try."""
        return f"evt_{self.pk.hex}"

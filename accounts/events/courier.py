"""Who delivers what: each webhook with something due is taken by one worker at a time.

A worker is a thread of the dispatcher. It holds its webhook by a lease in the database,
so that any number of machines share the work, and one slow receiver keeps one worker
from the others and no more.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from os import getpid

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from accounts.events.delivering import LEASE, Turn
from accounts.models import Event, EventDelivery, EventWebhook
from mailhub.encryption import Sealed
from mailhub.logs import get_logger

log = get_logger(__name__)

_WORKERS = 16
_FORGOTTEN_AT_ONCE = 500


class Courier:
    """The workers of this process."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._workers: list[threading.Thread] = []

    def start_due(self) -> None:
        """Give each webhook that has something due to a worker, as long as one is free."""
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        for webhook in claim_due(_WORKERS - len(self._workers)):
            worker = threading.Thread(
                target=self._take_turn, args=(webhook, self._stop), name="courier", daemon=True
            )
            self._workers.append(worker)
            worker.start()

    def close(self) -> None:
        """Let the workers end what they are about; what is not answered by then is repeated."""
        self._stop.set()
        until = time.monotonic() + settings.MAILHUB_EVENT_TIMEOUT + 1
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
        self._stop, self._workers = threading.Event(), []

    def _take_turn(self, webhook: EventWebhook, stop: threading.Event) -> None:
        try:
            Turn(webhook, stop).run()
        except Exception:
            log.exception("turn failed", webhook=str(webhook.pk))
        finally:
            connection.close()


def claim_due(most: int) -> Iterator[EventWebhook]:
    """Lease webhooks that have something due, those first that have waited longest."""
    if most <= 0:
        return
    now = timezone.now()
    due = EventDelivery.objects.filter(webhook=OuterRef("pk"), next_attempt_at__lte=now)
    free = EventWebhook.objects.filter(
        Q(leased_until=None) | Q(leased_until__lte=now),
        Q(held_until=None) | Q(held_until__lte=now),
        is_enabled=True,
        tenant__is_active=True,
    )
    found = free.filter(Exists(due)).order_by(F("leased_until").asc(nulls_first=True))
    for pk in found.values_list("pk", flat=True)[:most]:
        worker = f"{socket.gethostname()[:60]}:{getpid()}:{secrets.token_hex(8)}"
        claimed = free.filter(pk=pk).update(worker=worker, leased_until=timezone.now() + LEASE)
        if claimed:
            yield EventWebhook.objects.select_related("tenant").get(pk=pk)


def forget_old_events() -> int:
    """Delete events, delivered or not, that are older than is kept; how many there were.

    Secrets that a rotation replaced go as well, once their day is over.
    """
    now = timezone.now()
    EventWebhook.objects.filter(previous_secret_until__lt=now).update(
        previous_secret=Sealed(""), previous_secret_until=None
    )
    old = Event.objects.filter(created_at__lt=now - timedelta(days=settings.MAILHUB_EVENT_DAYS))
    count = 0
    while some := list(
        old.order_by("created_at").values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE]
    ):
        with transaction.atomic():
            EventDelivery.objects.filter(event_id__in=some).delete()
            Event.objects.filter(pk__in=some).delete()
        count += len(some)
    return count


COURIER = Courier()

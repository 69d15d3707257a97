"""Which worker sends whose messages: a lane is leased, and looked after when its worker is gone."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from os import getpid
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import Min, Q
from django.utils import timezone

from mailboxes.models import OutboxLane, OutboxMessage, OutboxState
from mailboxes.outbox.outcomes import note_lost
from mailhub.logs import get_logger

log = get_logger(__name__)

LEASE = timedelta(seconds=12)
_RENEW_EVERY = 3.0
_MINUTE = timedelta(minutes=1)
_NO_LIMIT = 1_000_000


def claim_due(most: int) -> Iterator[OutboxLane]:
    """Lease lanes that have something due, those first that have waited longest."""
    now = timezone.now()
    free = OutboxLane.objects.filter(
        Q(leased_until=None) | Q(leased_until__lte=now), due_at__lte=now, tenant__is_active=True
    )
    for lane in list(free.order_by("due_at")[: max(0, most)]):
        if lane.worker:
            settle(lane)
        worker = f"{socket.gethostname()[:60]}:{getpid()}:{secrets.token_hex(8)}"
        if free.filter(pk=lane.pk, worker="").update(
            worker=worker, leased_until=timezone.now() + LEASE
        ):
            lane.worker = worker
            yield lane


def settle_lost() -> int:
    """Take up what workers left behind that are gone; how many lanes that were."""
    lost = OutboxLane.objects.filter(leased_until__lte=timezone.now()).exclude(worker="")
    found = list(lost)
    for lane in found:
        settle(lane)
    return len(found)


def settle(lane: OutboxLane) -> None:
    """Give each message in the hand of a lane's lost worker the state that is known of it."""
    with transaction.atomic():
        held = OutboxLane.objects.select_for_update().filter(
            pk=lane.pk, worker=lane.worker, leased_until__lte=timezone.now()
        )
        if held.exists():
            _settle_in_hand(lane)
            _free(lane)


def give_back(lane: OutboxLane) -> None:
    """Its worker is done with it for now. Where a defect ended its turn, messages may be left."""
    with transaction.atomic():
        if OutboxLane.objects.select_for_update().filter(pk=lane.pk, worker=lane.worker).exists():
            _settle_in_hand(lane)
            _free(lane)


def _settle_in_hand(lane: OutboxLane) -> None:
    in_hand = OutboxMessage.objects.filter(lane=lane, state=OutboxState.SENDING, worker=lane.worker)
    in_hand.filter(has_begun=False).update(
        state=OutboxState.QUEUED, worker="", next_try_at=timezone.now()
    )
    for message in in_hand.filter(has_begun=True):
        note_lost(message)


def _free(lane: OutboxLane) -> None:
    # Read after the lock is held: whoever adds a message waits, or is seen.
    waiting = OutboxMessage.objects.waiting().filter(lane=lane)
    first = waiting.aggregate(first=Min("next_try_at"))["first"]
    if first is not None and lane.minute_began_at is not None and not allowance(lane):
        first = max(first, lane.minute_began_at + _MINUTE)
    OutboxLane.objects.filter(pk=lane.pk).update(worker="", leased_until=None, due_at=first)


def allowance(lane: OutboxLane) -> int:
    """How many of its messages may begin to leave before its minute is over."""
    rate: int = settings.MAILHUB_ACCOUNT_RATE
    if not rate:
        return _NO_LIMIT
    return rate if _is_over(lane) else max(0, rate - lane.minute_count)


def use_allowance(lane: OutboxLane, count: int) -> None:
    """So many are about to leave. For the worker that has the lane."""
    if not settings.MAILHUB_ACCOUNT_RATE:
        return
    if _is_over(lane):
        lane.minute_began_at, lane.minute_count = timezone.now(), 0
    lane.minute_count += count
    OutboxLane.objects.filter(pk=lane.pk, worker=lane.worker).update(
        minute_began_at=lane.minute_began_at, minute_count=lane.minute_count
    )


def _is_over(lane: OutboxLane) -> bool:
    began = lane.minute_began_at
    return began is None or timezone.now() - began >= _MINUTE


class Lease:
    """The thread that renews a lane's lease while its worker lives."""

    def __init__(self, lane: OutboxLane) -> None:
        self._lane = lane
        self._ended = threading.Event()
        self._good_until = time.monotonic() + LEASE.total_seconds()
        self._thread = threading.Thread(target=self._renew, name="outbox-lease", daemon=True)

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have taken the lane."""
        return time.monotonic() < self._good_until

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        try:
            while not self._ended.wait(_RENEW_EVERY):
                self._renew_once()
        finally:
            connection.close()

    def _renew_once(self) -> None:
        asked = time.monotonic()
        mine = OutboxLane.objects.filter(pk=self._lane.pk, worker=self._lane.worker)
        try:
            kept = mine.update(leased_until=timezone.now() + LEASE)
        except DatabaseError as error:
            log.warning("outbox lease not renewed", reason=str(error))
            return
        self._good_until = asked + LEASE.total_seconds() if kept else 0.0

"""A worker's turn at a lane: its messages leave in order, over one kept-open connection."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from mailboxes.models import OutboxContent, OutboxLane, OutboxMessage, OutboxState
from mailboxes.models.outbox_message import WAITING
from mailboxes.outbox.lanes import (
    Lease,
    allowance,
    claim_due,
    give_back,
    settle_lost,
    use_allowance,
)
from mailboxes.outbox.outcomes import outcome_of, record
from mailboxes.outbox.senders import transport_of
from mailboxes.outbox.statements import mark_begun
from mailhub.errors import MailhubError
from mailhub.logs import get_logger
from mailhub.mail.errors import InvalidMessage, MailError
from mailhub.mail.transports.base import Envelope, Job, Outcome, Transport

log = get_logger(__name__)

WORKERS = 8
TURN_SECONDS = 30.0
_BATCH = 50
# Of the messages themselves, held while they wait for those before them.
_OCTETS_AT_ONCE = 1_000_000
_PATIENCE_AT_THE_END = 10.0


class Withdrawn(Exception):
    """The message is no more this worker's to send: it was cancelled, or the lane is another's."""


class Outbox:
    """The workers of this process: threads, each with one lane at a time."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._workers: list[threading.Thread] = []

    def start_due(self) -> None:
        """Give each lane with something due to a worker, as long as one is free."""
        settle_lost()
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        for lane in claim_due(WORKERS - len(self._workers)):
            worker = threading.Thread(
                target=self._take_turn, args=(lane,), name="outbox", daemon=True
            )
            self._workers.append(worker)
            worker.start()

    def close(self) -> None:
        """Let each worker end the message that it is about; the others wait for the next start."""
        self._stop.set()
        until = time.monotonic() + _PATIENCE_AT_THE_END
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
        self._stop, self._workers = threading.Event(), []

    def _take_turn(self, lane: OutboxLane) -> None:
        try:
            Turn(lane, self._stop).run()
        finally:
            connection.close()


class Turn:
    """`lane` is leased to `lane.worker`. `stop` ends the turn after the message in hand."""

    def __init__(self, lane: OutboxLane, stop: threading.Event) -> None:
        self._lane, self._stop = lane, stop
        self._transport: Transport | None = None
        self._until = time.monotonic() + TURN_SECONDS
        self._lease = Lease(lane)

    def run(self) -> None:
        """Send what is due, until nothing is or time is up. Never raises for a message."""
        try:
            with self._lease:
                while not self._is_over():
                    messages = self._take()
                    if not messages:
                        break
                    self._send_all(messages)
        except Exception:
            log.exception("outbox turn failed", lane=self._lane.pk)
        finally:
            if self._transport is not None:
                self._transport.close()
            give_back(self._lane)

    def _is_over(self) -> bool:
        late = time.monotonic() > self._until
        return self._stop.is_set() or late or not self._lease.is_held

    def _take(self) -> list[OutboxMessage]:
        due = OutboxMessage.objects.waiting().filter(
            lane=self._lane, next_try_at__lte=timezone.now()
        )
        most = min(_BATCH, allowance(self._lane))
        with transaction.atomic():
            keys = list(due.order_by("next_try_at", "pk").values_list("pk", flat=True)[:most])
            use_allowance(self._lane, len(keys))
            OutboxMessage.objects.filter(pk__in=keys, state__in=WAITING).update(
                state=OutboxState.SENDING,
                worker=self._lane.worker,
                has_begun=False,
                next_try_at=None,
            )
        mine = (
            self._mine()
            .filter(pk__in=keys)
            .select_related(
                "tenant", "account__credential", "account__aws_credential", "account__tenant"
            )
        )
        rows = {row.pk: row for row in mine}
        return [rows[key] for key in keys if key in rows]

    def _send_all(self, messages: Sequence[OutboxMessage]) -> None:
        left = {message.pk: message for message in messages}
        while left and not self._is_over():
            try:
                transport = self._open(messages[0])
                for key, outcome in transport.send_many(self._jobs(left), before_data=self._begin):
                    self._end(left.pop(key), outcome)
            except Withdrawn:
                kept = set(self._mine().filter(pk__in=left).values_list("pk", flat=True))
                left = {key: message for key, message in left.items() if key in kept}
            except (MailError, MailhubError) as error:
                for key in list(left):
                    self._end(left.pop(key), outcome_of(error))
        self._put_back(left)

    def _open(self, message: OutboxMessage) -> Transport:
        if self._transport is None:
            self._transport = transport_of(message)
        self._transport.open()
        return self._transport

    def _jobs(self, left: dict[int, OutboxMessage]) -> Iterator[Job[int]]:
        waiting = deque(left.values())
        while waiting:
            some = [waiting.popleft()]
            while waiting and sum(each.size for each in (*some, waiting[0])) < _OCTETS_AT_ONCE:
                some.append(waiting.popleft())
            wires = dict(
                OutboxContent.objects.filter(pk__in=[each.pk for each in some]).values_list(
                    "pk", "wire"
                )
            )
            for message in some:
                if self._is_over():
                    return
                wire = wires.pop(message.pk, None)
                if wire is None:  # Thrown away by one person while another had it sent again.
                    gone = InvalidMessage("The message itself is kept no more.")
                    self._end(left.pop(message.pk), outcome_of(gone))
                    continue
                envelope = Envelope(message.sender, tuple(message.outstanding))
                yield Job(message.pk, envelope, bytes(wire))

    def _begin(self, key: int) -> None:
        """Its first octet is about to leave. Raises Withdrawn where it must not."""
        if not self._lease.is_held or not mark_begun(key, self._lane.worker):
            raise Withdrawn

    def _end(self, message: OutboxMessage, outcome: Outcome) -> None:
        if not record(message, self._lane.worker, outcome):
            log.warning("an outcome came too late", message=message.pk, result=outcome.result)

    def _put_back(self, left: dict[int, OutboxMessage]) -> None:
        self._mine().filter(pk__in=left, has_begun=False).update(
            state=OutboxState.QUEUED, worker="", next_try_at=timezone.now()
        )

    def _mine(self) -> QuerySet[OutboxMessage]:
        return OutboxMessage.objects.filter(state=OutboxState.SENDING, worker=self._lane.worker)


def send_due(*, stop: threading.Event | None = None) -> int:
    """Send all that is due in this thread, lane by lane; how many lanes had something."""
    count = 0
    stop = stop or threading.Event()
    settle_lost()
    while not stop.is_set():
        lane = next(claim_due(1), None)
        if lane is None:
            break
        Turn(lane, stop).run()
        count += 1
    return count


OUTBOX = Outbox()

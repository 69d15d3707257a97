"""One worker's turn at one webhook: what is due is posted over a few kept-open connections.

The turn's own thread reads and writes the database; the connections have threads that
only speak to the receiver. Outcomes are written a few times a second, all at once. A
worker that is killed in between has its events posted again, with the same ids, by
whoever finds that its lease has run out.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from queue import Empty, SimpleQueue

from django.conf import settings
from django.utils import timezone

from accounts.events.outcomes import Outcome, note_outcomes
from accounts.events.signing import signed_headers, write_body
from accounts.models import EventDelivery, EventWebhook
from mailhub.encryption import SecretUnreadable
from mailhub.logs import get_logger
from mailhub.mail.errors import MailError
from mailhub.mail.guarded_http import GuardedConnection
from mailhub.mail_policy import host_guard

log = get_logger(__name__)

LEASE = timedelta(seconds=30)
# After so long the next webhook has its turn.
TURN_SECONDS = 20.0
_CONNECTIONS = 4
_BATCH = 200
_WRITE_EVERY = 0.5
_RENEW_EVERY = 10.0
_LARGEST_ANSWER = 1024
_LONGEST_WORDS = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

_Answers = SimpleQueue[Outcome | None]


class Turn:
    """`webhook` is leased to `webhook.worker`. `stop` ends the turn when it is set."""

    def __init__(self, webhook: EventWebhook, stop: threading.Event) -> None:
        self._webhook, self._stop = webhook, stop
        self._tenant = webhook.tenant.slug
        self._keys: Sequence[str] = ()
        self._connections: list[GuardedConnection | None] = [None] * _CONNECTIONS
        self._halted = threading.Event()
        self._until = time.monotonic() + TURN_SECONDS
        self._renewed_at = time.monotonic()

    def run(self) -> None:
        """Post what is due, until nothing is, the receiver has trouble, or time is up."""
        try:
            self._keys = self._webhook.reveal_secrets()
            self._webhook.held_until = None
            while not self._halted.is_set() and not self._is_over():
                batch = self._due()
                if not batch:
                    return
                self._post_all(batch)
        except SecretUnreadable:
            self._webhook.disabled_reason = "Its secret cannot be read any more: rotate it."
            note_outcomes(self._webhook, [])
        finally:
            self._halted.set()
            for connection in self._connections:
                if connection is not None:
                    connection.close()
            mine = EventWebhook.objects.filter(pk=self._webhook.pk, worker=self._webhook.worker)
            mine.update(worker="", leased_until=timezone.now())

    def _is_over(self) -> bool:
        return self._stop.is_set() or time.monotonic() > self._until

    def _due(self) -> list[EventDelivery]:
        rows = EventDelivery.objects.filter(
            webhook=self._webhook, next_attempt_at__lte=timezone.now()
        )
        # One that has trouble is asked by one event alone whether it is well again.
        number = 1 if self._webhook.failures else _BATCH
        return list(rows.select_related("event").order_by("next_attempt_at", "pk")[:number])

    def _post_all(self, batch: Sequence[EventDelivery]) -> None:
        waiting, answers = deque(batch), _Answers()
        running = min(_CONNECTIONS, len(batch))
        for number in range(running):
            threading.Thread(
                target=self._work, args=(number, waiting, answers), name="events", daemon=True
            ).start()
        fresh: list[Outcome] = []
        write_at = time.monotonic() + _WRITE_EVERY
        while running:
            with suppress(Empty):
                outcome = answers.get(timeout=_WRITE_EVERY)
                if outcome is None:
                    running -= 1
                else:
                    fresh.append(outcome)
            if time.monotonic() >= write_at or not running:
                self._write(fresh)
                fresh, write_at = [], time.monotonic() + _WRITE_EVERY

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes and not note_outcomes(self._webhook, outcomes):
            self._halted.set()
        if time.monotonic() - self._renewed_at >= _RENEW_EVERY:
            self._renewed_at = time.monotonic()
            mine = EventWebhook.objects.filter(
                pk=self._webhook.pk, worker=self._webhook.worker, is_enabled=True
            )
            if not mine.update(leased_until=timezone.now() + LEASE):
                self._halted.set()

    def _work(self, number: int, waiting: deque[EventDelivery], answers: _Answers) -> None:
        """What the thread of one connection does; it never touches the database."""
        try:
            while not self._halted.is_set() and not self._is_over():
                try:
                    delivery = waiting.popleft()
                except IndexError:
                    return
                outcome = self._post(number, delivery)
                if outcome.is_about_the_receiver:
                    self._halted.set()
                answers.put(outcome)
        finally:
            answers.put(None)

    def _post(self, number: int, delivery: EventDelivery) -> Outcome:
        event, now = delivery.event, timezone.now()
        body = write_body(event, self._tenant)
        headers = signed_headers(self._keys, event.public_id, int(now.timestamp()), body)
        try:
            connection = self._connections[number] or self._connect()
            self._connections[number] = connection
            answer = connection.post(body, headers, largest_answer=_LARGEST_ANSWER)
        except MailError as error:
            return Outcome(delivery, now, 0, error.message)
        except Exception:
            log.exception("event not posted", webhook=str(self._webhook.pk))
            return Outcome(delivery, now, 0, "Something unexpected happened; the log says what.")
        wait = answer.headers.get("retry-after", "")
        return Outcome(
            delivery,
            now,
            answer.status,
            first_words(answer.body),
            float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 8 else 0.0,
        )

    def _connect(self) -> GuardedConnection:
        return GuardedConnection(
            self._webhook.url,
            host_guard(),
            whose="The receiver",
            timeout=settings.MAILHUB_EVENT_TIMEOUT,
            ca_file=settings.MAILHUB_CA_FILE,
            allow_plaintext=settings.MAILHUB_ALLOW_PLAINTEXT,
        )


def first_words(body: bytes) -> str:
    """The beginning of an answer in one line, for a person."""
    text = _CONTROL.sub(" ", body.decode("utf-8", "replace"))
    return " ".join(text.split())[:_LONGEST_WORDS]

"""One thread for all connections of a worker: it takes the steps of each sender that can go on.

A thread a connection would have to be woken for each reply, and to wait for Python's lock among
the others. What blocks, to connect and to say goodbye, is done in threads aside.
"""

from __future__ import annotations

import os
import select
from collections import deque
from threading import Thread
from time import monotonic

from django.db import connection

from campaigns.engine.sender import Idle, Sender, Step
from campaigns.engine.threads import open_transport
from mailhub.logs import get_logger
from mailhub.mail.transports.base import Need, Pause

log = get_logger(__name__)

# How late a deadline may be noticed.
_TICK = 0.25
_GOODBYE_SECONDS = 2.0


class Loop(Thread):
    """Ends when it is closed and its senders are over."""

    def __init__(self) -> None:
        super().__init__(name="campaign-loop", daemon=True)
        self._runners: set[_Runner] = set()
        self._watched: dict[int, _Runner] = {}
        self._arrived: deque[tuple[_Runner, Exception | None]] = deque()
        self._poll = select.poll()
        self._woken, self._bell = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._bell, False)
        self._poll.register(self._woken, select.POLLIN)
        self._is_closing = False
        self._closing: list[Thread] = []

    def add(self, sender: Sender) -> None:
        """Work for this one, too."""
        self._arrived.append((_Runner(sender), None))
        self.wake()

    def wake(self) -> None:
        """There may be something to do; to be called from any thread."""
        try:
            os.write(self._bell, b"!")
        except BlockingIOError:
            return  # it has been rung often enough

    def close(self) -> None:
        """End with the last sender."""
        self._is_closing = True
        self.wake()

    def run(self) -> None:
        while self._runners or self._arrived or not self._is_closing:
            self._turn()
        # The next shift connects anew, to a server that may count connections.
        for thread in self._closing:
            thread.join(_GOODBYE_SECONDS)

    def __del__(self) -> None:
        """Who rings late holds it still: a number that was closed may be another file's."""
        for descriptor in (self._woken, self._bell):
            os.close(descriptor)

    def _turn(self) -> None:
        is_woken = False
        for descriptor, _ in self._poll.poll(_TICK * 1000):
            if descriptor == self._woken:
                is_woken = True
            elif descriptor in self._watched:
                self._advance(self._watched[descriptor])
        if is_woken:
            os.read(self._woken, 4096)
            self._look_around()
        now = monotonic()
        for runner in [each for each in self._watched.values() if each.until <= now]:
            self._advance(runner)

    def _look_around(self) -> None:
        while self._arrived:
            runner, trouble = self._arrived.popleft()
            self._runners.add(runner)
            self._advance(runner, trouble)
        for runner in [each for each in self._runners if each.is_idle]:
            self._advance(runner)

    def _advance(self, runner: _Runner, trouble: Exception | None = None) -> None:
        step = runner.advance(trouble)
        if isinstance(step, Pause):
            watched = (step.descriptor, step.event)
            runner.until = step.until
            if watched != runner.watched:
                self._forget(runner)
                runner.watched = watched
                self._watched[step.descriptor] = runner
                self._poll.register(*watched)
            return
        self._forget(runner)
        if step is None:
            self._runners.discard(runner)
            thread = Thread(target=_close, args=(runner.sender,), daemon=True)
            self._closing.append(thread)
            thread.start()
        elif isinstance(step, Need):
            Thread(target=self._open, args=(runner,), daemon=True).start()

    def _forget(self, runner: _Runner) -> None:
        """Watch its connection no more; by now its number may be another's."""
        descriptor, _ = runner.watched
        if self._watched.get(descriptor) is runner:
            del self._watched[descriptor]
            self._poll.unregister(descriptor)
        runner.watched = (-1, 0)

    def _open(self, runner: _Runner) -> None:
        trouble = open_transport(runner.sender)
        connection.close()  # a token may have been renewed
        self._arrived.append((runner, trouble))
        self.wake()


class _Runner:
    """A sender, how far it is, and what it waits for."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.is_idle = False
        self.watched = (-1, 0)
        self.until = 0.0
        self._steps = sender.steps()

    def advance(self, trouble: Exception | None) -> Step | None:
        """Its next step; None at the end."""
        self.is_idle = False
        try:
            step = next(self._steps) if trouble is None else self._steps.throw(trouble)
        except StopIteration:
            return None
        except Exception:
            log.exception("a sender was lost")  # the others go on
            return None
        self.is_idle = isinstance(step, Idle)
        return step


def _close(sender: Sender) -> None:
    sender.transport.close()
    connection.close()

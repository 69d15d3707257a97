"""Keeps a group of services running under one parent, and ends them as one.

Each service is a command with a process of its own, in a session of its own, so that a
Ctrl-C in a terminal reaches the parent alone, and the parent decides who is told what:

- A service that ends by itself is started again, after 1, 2, 4 … 30 seconds; a minute of
  running forgives what was before. What it left behind (its own children) is killed first.
- On SIGINT, SIGTERM or SIGHUP each service's *main* process gets SIGTERM, never its
  children: django-q2's cluster finishes its tasks only when its master alone is told, and
  gunicorn its requests. What has not ended after `patience` seconds is killed.
- A second signal kills everything at once.
- However the parent ends, kill -9 included, everything beneath it ends too: the other half
  of this, in the services, is `mailhub.supervised`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mailhub.supervised import ALIVE_PIPE, STOPPING_PIPE

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
FORGIVEN_AFTER = 60.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KILLED_BY_SECOND_SIGNAL = 130


@dataclass(frozen=True)
class Service:
    """A command to keep running in `folder`; `descriptors` are open files that it inherits.

    The higher its `niceness`, the less of a busy processor it gets beside the others.
    """

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    descriptors: Sequence[int] = ()
    niceness: int = 0


class Supervisor:
    """Runs `services` until told to stop; `say` shows a person a line.

    `run()` answers the exit code: 0 after a clean stop, 1 where a service had to be killed
    because it did not end within `patience` seconds, 130 after a second signal.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        say: Callable[[str], None],
        patience: float = 180,
        before_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._say = say
        self._patience = patience
        self._before_stopping = before_stopping
        self._signals = 0
        alive, self._alive = os.pipe()
        stopping, self._stopping = os.pipe()
        self._descriptors = [alive, self._alive, stopping]
        self._children = [_Child(service, alive, stopping) for service in services]

    def run(self) -> int:
        """Start all, keep them running, stop them when a signal comes."""
        with self._listening() as woken:
            try:
                for child in self._children:
                    child.start()
                while not self._signals:
                    woken(self._restart_what_ended())
                return self._stop(woken)
            finally:
                for child in self._children:
                    child.kill()
                for descriptor in self._descriptors:
                    os.close(descriptor)

    def _restart_what_ended(self) -> float:
        """Seconds until there is something to do again."""
        wait = FORGIVEN_AFTER
        for child in self._children:
            code = child.code_if_just_ended()
            if code is not None:
                self._say(
                    f"{child.service.name} ended unexpectedly ({describe_exit(code)}); "
                    f"starting it again in {child.pause:g} s"
                )
            if child.restart_at is not None:
                left = child.restart_at - time.monotonic()
                if left <= 0:
                    child.start()
                else:
                    wait = min(wait, left)
        return wait

    def _stop(self, woken: Callable[[float], None]) -> int:
        self._say("Stopping: work in hand is finished first. Once more Ctrl-C kills at once.")
        self._before_stopping()
        os.close(self._stopping)
        for child in self._children:
            child.ask_to_end()
        deadline = time.monotonic() + self._patience
        while any(child.is_running() for child in self._children):
            left = deadline - time.monotonic()
            if self._signals > 1:
                self._say("Killed.")
                return KILLED_BY_SECOND_SIGNAL
            if left <= 0:
                names = [child.service.name for child in self._children if child.is_running()]
                self._say(f"Killing what did not end in {self._patience:g} s: {', '.join(names)}")
                return 1
            woken(left)
        self._say("Stopped.")
        return 0

    @contextlib.contextmanager
    def _listening(self) -> Iterator[Callable[[float], None]]:
        """Handles signals; yields a wait that returns early when one comes.

        SIGCHLD is among them, so that the end of a service is noticed at once.
        """

        def count(number: int, frame: FrameType | None) -> None:
            self._signals += number != signal.SIGCHLD

        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # nohup
        numbers = [n for n in STOP_SIGNALS if not (ignored and n == signal.SIGHUP)]
        before = {n: signal.signal(n, count) for n in (*numbers, signal.SIGCHLD)}
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        selector = selectors.DefaultSelector()
        selector.register(reading, selectors.EVENT_READ)

        def wait(seconds: float) -> None:
            if selector.select(seconds):
                with contextlib.suppress(BlockingIOError):
                    os.read(reading, 4096)

        try:
            yield wait
        finally:
            selector.close()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)


class _Child:
    """One service's process, and when it is to be started again."""

    def __init__(self, service: Service, alive: int, stopping: int) -> None:
        self.service = service
        self.pause = FIRST_PAUSE
        self.restart_at: float | None = None
        self._next_pause = FIRST_PAUSE
        self._alive = alive
        self._stopping = stopping
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def start(self) -> None:
        self.restart_at = None
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - commands of this project alone
            self.service.command,
            env={
                **os.environ,
                **self.service.environment,
                ALIVE_PIPE: str(self._alive),
                STOPPING_PIPE: str(self._stopping),
            },
            cwd=self.service.folder,
            stdin=subprocess.DEVNULL,
            pass_fds=(self._alive, self._stopping, *self.service.descriptors),
            start_new_session=True,
        )
        if self.service.niceness:
            with contextlib.suppress(OSError):
                nicer = os.getpriority(os.PRIO_PROCESS, 0) + self.service.niceness
                os.setpriority(os.PRIO_PROCESS, self._process.pid, nicer)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def code_if_just_ended(self) -> int | None:
        """Its exit code, once, where it ended since the last call; then its restart is set."""
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        self.kill()
        if time.monotonic() - self._started > FORGIVEN_AFTER:
            self._next_pause = FIRST_PAUSE
        self.pause = self._next_pause
        self._next_pause = min(2 * self.pause, LONGEST_PAUSE)
        self.restart_at = time.monotonic() + self.pause
        return code

    def ask_to_end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End whatever is left of it: its main process, and those that this one started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def describe_exit(code: int) -> str:
    """A process's exit code in words: "exit code 3", "killed by SIGKILL"."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

"""A bounded number of threads beside an event loop, for what blocks."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from django.db import close_old_connections, connections

Result = TypeVar("Result")
_Job = Callable[[], None]


class Threads:
    """At most `most` threads, started as they are needed; each has its own database connection.

    They are daemons: a server that does not answer must not keep the process from ending.
    With `are_rare` a thread leaves the database after each job. To be made and used inside
    of a running event loop.
    """

    def __init__(self, name: str, most: int, *, are_rare: bool = False) -> None:
        self._name, self._most, self._are_rare = name, most, are_rare
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0

    @property
    def are_busy(self) -> bool:
        """Whether a job would have to wait."""
        return self._unfinished >= self._most

    def run(
        self, call: Callable[[], Result], *, discard: Callable[[Result], None] = lambda _: None
    ) -> Awaitable[Result]:
        """Have a thread call it. A result for which nobody waits any more is discarded."""
        future: asyncio.Future[Result] = self._loop.create_future()

        def job() -> None:
            close_old_connections()
            try:
                result = call()
            except BaseException as error:
                self._tell(_settle, future, None, error)
            else:
                if not self._tell(_settle, future, result, None, discard):
                    discard(result)
            finally:
                if self._are_rare:
                    connections.close_all()

        self._unfinished += 1
        future.add_done_callback(self._count)
        if len(self._threads) < min(self._most, self._unfinished):
            thread = threading.Thread(
                target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)
        return future

    def close(self, patience: float) -> bool:
        """End them; whether all did within so many seconds."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(patience)
            patience = 0 if thread.is_alive() else patience
        return not any(thread.is_alive() for thread in self._threads)

    def _count(self, _: asyncio.Future[Any]) -> None:
        self._unfinished -= 1

    def _work(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job()
        finally:
            connections.close_all()

    def _tell(self, tell: Callable[..., None], *arguments: object) -> bool:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(tell, *arguments)
            return True
        return False


def _settle(
    future: asyncio.Future[Any],
    result: Any,
    error: BaseException | None,
    discard: Callable[[Any], None] = lambda _: None,
) -> None:
    if future.done():
        if error is None:
            discard(result)
    elif error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)

"""What the tests of the watcher share: one that runs beside the test, and a server of many."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

from django.db import connections

from mailboxes.models import Message, Watch
from mailboxes.watching.watcher import Habits, MailboxWatcher
from tests.servers.processes import wait_until

QUICK = {"look_every": 0.05, "first_pause": 0.05, "longest_pause": 0.2, "stop_within": 20.0}


class Watching:
    """A watcher in a thread of its own, with these habits; it has ended well after the block."""

    def __init__(self, **habits: Any) -> None:
        self._habits = Habits(**(QUICK | habits))
        self._thread = threading.Thread(target=self._run)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.ended_well: bool | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            self.ended_well = asyncio.run(self._work())
        finally:
            connections.close_all()

    async def _work(self) -> bool:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        return await MailboxWatcher(self._habits).run(self._stop)


def stands(state: str, count: int = 1) -> None:
    """Wait until so many accounts stand so."""
    wait_until(lambda: Watch.objects.filter(state=state).count() == count, f"{count} {state}")


class CrowdServer:
    """An IMAP server in a thread and an event loop of its own, for hundreds of connections.

    It lets anybody in, up to `most` at once, holds three messages, and tells all who wait
    of a fourth when told to.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._waiting: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Event
        self._inside = 0
        self.refused = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    @property
    def waiting(self) -> int:
        """How many connections are in IDLE."""
        return len(self._waiting)

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._speak, "127.0.0.1", 0, backlog=500)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for writer in list(self._waiting):
            writer.close()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._inside += 1
        try:
            if self._inside > self._most:
                self.refused += 1
                writer.write(b"* BYE Too many connections from your address\r\n")
                return
            writer.write(b"* OK ready\r\n")
            while line := await reader.readline():
                self._answer(writer, *line.split()[:2])
        except OSError:
            return
        finally:
            self._inside -= 1
            self._waiting.discard(writer)
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, tag: bytes, command: bytes = b"") -> None:
        if command == b"IDLE":
            self._waiting.add(writer)
            writer.write(b"+ idling\r\n")
            return
        if command == b"CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1 IDLE\r\n")
        elif command == b"EXAMINE":
            writer.write(b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 4]\r\n")
        writer.write(tag + b" OK\r\n")


def arrives(subject: str) -> None:
    rows = Message.objects.filter(subject=subject, body_state="stored")
    wait_until(rows.exists, f"{subject} is here")

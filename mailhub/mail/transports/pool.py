"""Kept-open transports to one server, handed out to threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from time import monotonic
from types import TracebackType
from typing import Self

from mailhub.mail.errors import ServerTimeout
from mailhub.mail.server import ServerSettings
from mailhub.mail.transports.connected import ConnectedTransport
from mailhub.mail.transports.smtp import SmtpTransport


@dataclass(frozen=True, slots=True)
class _Idle:
    transport: ConnectedTransport
    since: float


class TransportPool:
    """At most `size` open connections to one server, used by any number of threads.

    A transport that was not used for `idle_seconds` is closed at the next visit. `make`
    builds a transport that is not open yet.
    """

    def __init__(
        self,
        settings: ServerSettings,
        size: int,
        *,
        idle_seconds: float = 60.0,
        make: Callable[[ServerSettings], ConnectedTransport] = SmtpTransport,
    ) -> None:
        self._settings = settings
        self._make = make
        self._idle_seconds = idle_seconds
        self._places = BoundedSemaphore(size)
        self._lock = Lock()
        self._idle: list[_Idle] = []
        self._closed = False

    @contextmanager
    def transport(self, wait: float | None = None) -> Iterator[ConnectedTransport]:
        """An open transport for this thread alone, taken back afterwards.

        Waits at most `wait` seconds for a free place. Raises ServerTimeout where none
        came free, and MailError where a connection cannot be made. After an exception
        inside the block the connection is closed and not kept.
        """
        if not self._places.acquire(timeout=wait):
            raise ServerTimeout(f"All connections to {self._settings.address} are in use.")
        try:
            transport = self._take()
            try:
                transport.open()
                yield transport
            except BaseException:
                transport.drop()
                raise
            self._put_back(transport)
        finally:
            self._places.release()

    def close_idle(self) -> None:
        """Close what has not been used for `idle_seconds`."""
        limit = monotonic() - self._idle_seconds
        with self._lock:
            stale = [each for each in self._idle if each.since < limit]
            self._idle = [each for each in self._idle if each.since >= limit]
        for each in stale:
            each.transport.close()

    def close(self) -> None:
        """Close all idle transports; those in use are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for each in idle:
            each.transport.close()

    def _take(self) -> ConnectedTransport:
        self.close_idle()
        with self._lock:
            # The one used last is the likeliest to be still open.
            found = self._idle.pop().transport if self._idle else None
        if found is None:
            return self._make(self._settings)
        if not found.is_alive():
            found.drop()
        return found

    def _put_back(self, transport: ConnectedTransport) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(_Idle(transport, monotonic()))
                return
        transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

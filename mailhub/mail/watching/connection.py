"""A connection in IDLE, in an event loop: its socket, and the clocks that watch over it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl

from mailhub.mail.errors import ConnectionFailed, MailError, ServerTimeout, connection_failed
from mailhub.mail.watching.opening import Opened
from mailhub.mail.watching.session import IdleSession, News

# Servers may hang up on a client that is silent for half an hour (RFC 2177), and routers
# forget a connection sooner; nine minutes is what mail programs found to be safe.
RENEW_AFTER = 8 * 60.0
ANSWER_WITHIN = 30.0
_READ = 16 * 1024
# What one connection may read before the others have their turn.
_READS_AT_ONCE = 4
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WaitingConnection:
    """News as they come. To be used inside of a running event loop, and closed.

    Every `renew_after` seconds, spread by a tenth, the server has to show within
    `answer_within` seconds that it is still there.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        renew_after: float = RENEW_AFTER,
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        self._opened, self._socket = opened, opened.socket
        self._address = opened.settings.address
        self._session = IdleSession(opened.settings, opened.inbox.messages)
        self._renew_after, self._answer_within = renew_after, answer_within
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._failure: MailError | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._advance(opened.ahead)
        # TLS may hold octets that the descriptor does not tell of.
        self._loop.call_soon(self._read)

    async def next_news(self) -> News:
        """Wait for news. Raises the MailError that ended the connection."""
        while True:
            news = self._session.take_news()
            if news is not None:
                return news
            if self._failure is not None:
                raise self._failure
            self._woken.clear()
            await self._woken.wait()

    def close(self) -> None:
        """Say goodbye, without waiting for an answer, and hang up."""
        if self._failure is None:
            self._stop()
            with contextlib.suppress(OSError, ValueError):
                self._socket.send(b"DONE\r\nW0 LOGOUT\r\n")
            self._failure = ConnectionFailed("The connection was closed here.")
        self._opened.close()

    def _read(self) -> None:
        for _ in range(_READS_AT_ONCE):
            if self._failure is not None:
                return
            try:
                octets = self._socket.recv(_READ)
            except _NOT_NOW:
                return
            except (OSError, ValueError) as error:
                self._fail(connection_failed(error, self._address))
                return
            if not octets:
                self._fail(ConnectionFailed(f"{self._address} closed the connection."))
                return
            self._advance(octets)
        if isinstance(self._socket, ssl.SSLSocket):
            self._loop.call_soon(self._read)

    def _advance(self, octets: bytes) -> None:
        owed = self._session.owes_an_answer
        try:
            self._session.receive(octets)
        except MailError as error:
            self._fail(error)
            return
        self._send()
        if self._clock is None or owed != self._session.owes_an_answer:
            self._wind()
        self._woken.set()

    def _renew(self) -> None:
        self._session.renew()
        self._send()
        self._wind()

    def _wind(self) -> None:
        """Set the clock: until the next renewal, or for the answer that is owed."""
        if self._clock is not None:
            self._clock.cancel()
        if self._failure is not None:
            return
        if self._session.owes_an_answer:
            self._clock = self._loop.call_later(self._answer_within, self._give_up)
        else:
            wait = self._renew_after * random.uniform(0.9, 1)  # noqa: S311 - no secret
            self._clock = self._loop.call_later(wait, self._renew)

    def _give_up(self) -> None:
        self._fail(ServerTimeout(f"{self._address} does not answer any more."))

    def _send(self) -> None:
        output = self._session.take_output()
        if not output:
            return
        try:
            sent = self._socket.send(output)
        except (OSError, ValueError):
            sent = 0
        # A handful of octets find room, unless nobody has read for long.
        if sent < len(output):
            self._fail(ConnectionFailed(f"The connection to {self._address} broke."))

    def _fail(self, error: MailError) -> None:
        if self._failure is None:
            self._failure = error
            self._stop()
            self._woken.set()

    def _stop(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        if self._clock is not None:
            self._clock.cancel()

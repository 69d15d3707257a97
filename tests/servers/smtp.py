"""A real SMTP server on a loopback port that keeps what it gets and misbehaves on request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

import pytest

from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, Login, Protocol, ServerSettings
from mailhub.mail.transports.in_memory import Disturbance, ReceivedMessage, Script
from tests.servers.smtp_conversation import Conversation

_LOCAL = HostGuard.allowing(["127.0.0.0/8", "::1/128"])


class SmtpReceiver:
    """An SMTP server in a thread, to be used as a context manager.

    `messages` holds what it accepted, `commands` the command lines of all connections in
    order (credentials left out), `connections` how many were made, `script` what to answer in
    place of the usual, `within_content` what to do to a message of which only the first lines
    have been read. `users` are passwords by user name, `tokens` bearer tokens by user
    name; a login is required where either is given. `certificate` and `key` are PEM files,
    needed for `encryption` other than NONE. Without a `port` it takes one that is free.
    """

    def __init__(
        self,
        *,
        encryption: Encryption = Encryption.NONE,
        certificate: Path | None = None,
        key: Path | None = None,
        users: dict[str, str] | None = None,
        tokens: dict[str, str] | None = None,
        mechanisms: frozenset[str] = frozenset({"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"}),
        pipelining: bool = True,
        eight_bit: bool = True,
        smtputf8: bool = True,
        size_limit: int | None = 33_554_432,
        extended: bool = True,
        port: int = 0,
    ) -> None:
        self.encryption = encryption
        self.certificate = certificate
        self.key = key
        self.users = users or {}
        self.tokens = tokens or {}
        self.mechanisms = mechanisms
        self.pipelining = pipelining
        self.eight_bit = eight_bit
        self.smtputf8 = smtputf8
        self.size_limit = size_limit
        self.extended = extended
        self.host = "127.0.0.1"
        self.port = port
        self.script = Script()
        self.within_content: Disturbance | None = None
        self.messages: list[ReceivedMessage] = []
        self.commands: list[str] = []
        self.connections = 0
        self.lock = Lock()
        self.protocols: set[Conversation] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread
        self._ready: Event
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def settings(
        self, login: Login | None = None, *, timeout: float = 5.0, **changes: Any
    ) -> ServerSettings:
        """Settings with which a client reaches this server."""
        values: dict[str, Any] = {
            "protocol": Protocol.SMTP,
            "host": self.host,
            "port": self.port,
            "encryption": self.encryption,
            "login": login,
            "timeout": timeout,
            "guard": _LOCAL,
            "ca_file": str(self.certificate) if self.certificate else None,
        }
        return ServerSettings(**(values | changes))

    def start(self) -> Self:
        """Listen; the port is known afterwards."""
        self._thread = Thread(target=self._serve, name="smtp-receiver", daemon=True)
        self._ready = Event()
        self._thread.start()
        self._ready.wait(10)
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Close the port and all connections."""
        if self._thread.is_alive() and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def restart(self) -> None:
        """End it as a kill does, with every connection, and listen again on the same port."""
        self.stop()
        self.start()

    def close_connections(self) -> None:
        """Close every open connection from the server's side and wait until it is done."""
        assert self._loop is not None
        done: Future[None] = asyncio.run_coroutine_threadsafe(self._close_all(), self._loop)
        done.result(10)

    def record(self, message: ReceivedMessage) -> None:
        """Keep a message."""
        with self.lock:
            self.messages.append(message)

    def tls_context(self) -> ssl.SSLContext | None:
        """The server's side of TLS; None where it has none."""
        if self.certificate is None or self.key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def _serve(self) -> None:
        try:
            asyncio.run(self._listen())
        except BaseException as error:
            self._failure = error
            self._ready.set()

    async def _listen(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        context = self.tls_context()
        server = await loop.create_server(
            lambda: Conversation(self, context),
            self.host,
            self.port,
            ssl=context if self.encryption is Encryption.TLS else None,
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        await server.wait_closed()
        await self._close_all()

    async def _close_all(self) -> None:
        protocols = list(self.protocols)
        for protocol in protocols:
            protocol.close_now()
        for _ in range(1000):
            if not self.protocols.intersection(protocols):
                return
            await asyncio.sleep(0.001)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


@pytest.fixture
def smtp_receiver() -> Iterator[SmtpReceiver]:
    """A server that takes everything, until its script says otherwise."""
    with SmtpReceiver() as receiver:
        yield receiver


@pytest.fixture
def start_smtp_receiver() -> Iterator[Callable[..., SmtpReceiver]]:
    """Starts servers with settings of their own; all are stopped afterwards."""
    started: list[SmtpReceiver] = []

    def start(**settings: Any) -> SmtpReceiver:
        receiver = SmtpReceiver(**settings).start()
        started.append(receiver)
        return receiver

    yield start
    for receiver in started:
        receiver.stop()

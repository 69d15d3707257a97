"""A real SMTP server on a loopback port that keeps what it gets and misbehaves on request."""

from __future__ import annotations

import asyncio
import re
import ssl
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from mailhub.mail.host_guard import HostGuard
from mailhub.mail.server import Encryption, Login, Protocol, ServerSettings
from mailhub.mail.transports.base import Envelope
from mailhub.mail.transports.in_memory import Disturbance, ReceivedMessage, Script, Step

_PATH = re.compile(r"<([^>]*)>")
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
        self.protocols: set[_Conversation] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=self._serve, name="smtp-receiver", daemon=True)
        self._ready = Event()
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
        self._thread = Thread(target=self._serve, name="smtp-receiver", daemon=True)
        self._ready = Event()
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
            lambda: _Conversation(self, context),
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


class _Conversation(SMTP):
    """One connection."""

    # RFC 4954 section 4 lets a line of AUTH be this long; see also the end of __init__.
    line_length_limit = 12_288

    def __init__(self, receiver: SmtpReceiver, context: ssl.SSLContext | None) -> None:
        self.receiver = receiver
        self._greeted = False
        starttls = receiver.encryption is Encryption.STARTTLS
        super().__init__(
            _Handler(receiver),
            data_size_limit=receiver.size_limit,
            enable_SMTPUTF8=receiver.smtputf8,
            hostname="receiver.test",
            ident="test",
            tls_context=context if starttls else None,
            auth_require_tls=False,
            auth_exclude_mechanism={"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"}
            - receiver.mechanisms,
            authenticator=self._check_password,
            loop=asyncio.get_running_loop(),
        )
        self.command_size_limits["AUTH"] = 12_288
        self.line_length_limit = SMTP.line_length_limit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self not in self.receiver.protocols:
            self.receiver.protocols.add(self)
            self.receiver.connections += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.receiver.protocols.discard(self)
        super().connection_lost(error)

    def close_now(self) -> None:
        """End the connection without a word."""
        for transport in (self.transport, self._original_transport):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()

    async def push(self, status: Any) -> None:
        if not self._greeted:
            self._greeted = True
            if await self.scripted(Step.CONNECT):
                return
        await super().push(status)
        text = status if isinstance(status, str) else status.decode()
        if text.startswith("421") and self.transport is not None:
            self.transport.close()

    async def scripted(self, step: Step, address: str = "") -> bool:
        """Do what the script wants at this step; False if it wants nothing."""
        answer = self.receiver.script.take(step, (address,))
        if answer is None:
            return False
        if isinstance(answer, Disturbance):
            await self.disturb(answer)
        else:
            await self.push(answer)
        return True

    async def disturb(self, disturbance: Disturbance) -> None:
        """Close or fall silent; cancelled when the connection ends."""
        if disturbance is not Disturbance.HANG:
            self.close_now()
        await asyncio.Event().wait()

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802  aiosmtpd's name
        self._note(f"EHLO {hostname}")
        if not self.receiver.extended:
            await self.push("500 5.5.1 Command unknown")
        elif not await self.scripted(Step.HELLO):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802  aiosmtpd's name
        self._note("STARTTLS")
        if not await self.scripted(Step.STARTTLS):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802  aiosmtpd's name
        self._note(f"AUTH {arg.split(maxsplit=1)[0]}")
        if not await self.scripted(Step.LOGIN):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802  aiosmtpd's name
        self._note(f"MAIL {arg}")
        login_needed = bool(self.receiver.users or self.receiver.tokens)
        assert self.session is not None
        if login_needed and not self.session.authenticated:
            await self.push("530 5.7.0 Authentication required")
        elif not await self.scripted(Step.MAIL, _address(arg)):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802  aiosmtpd's name
        self._note(f"RCPT {arg}")
        assert self.envelope is not None
        if not self.envelope.mail_from or not await self.scripted(Step.RCPT, _address(arg)):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  aiosmtpd's name
        self._note("DATA")
        assert self.envelope is not None
        if self.envelope.rcpt_tos and await self.scripted(Step.DATA):
            return
        disturbance = self.receiver.within_content
        if disturbance is not None:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.readuntil(b"\r\n")
            # A reader of TLS would go on reading.
            for transport in filter(None, (self._original_transport, self.transport)):
                if isinstance(transport, asyncio.ReadTransport) and transport.is_reading():
                    transport.pause_reading()
            await self.disturb(disturbance)
        await super().smtp_DATA(arg)

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802  aiosmtpd's name
        self._note("RSET")
        await super().smtp_RSET(arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802  aiosmtpd's name
        self._note("QUIT")
        await super().smtp_QUIT(arg)

    def _note(self, command: str) -> None:
        with self.receiver.lock:
            self.receiver.commands.append(command)

    def _check_password(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        known = self.receiver.users.get(data.login.decode())
        return AuthResult(
            success=known is not None and known.encode() == data.password, handled=False
        )


class _Handler:
    """aiosmtpd's hooks: what EHLO offers, bearer logins, and the end of a message."""

    def __init__(self, receiver: SmtpReceiver) -> None:
        self.receiver = receiver

    async def handle_EHLO(  # noqa: N802  the name is aiosmtpd's
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        needs_login = bool(self.receiver.users or self.receiver.tokens)
        kept = [
            line
            for line in responses
            if (self.receiver.eight_bit or "8BITMIME" not in line)
            and (needs_login or not line.startswith("250-AUTH"))
        ]
        if self.receiver.pipelining:
            kept.insert(1, "250-PIPELINING")
        return kept

    async def auth_XOAUTH2(self, server: Any, args: list[str]) -> AuthResult:  # noqa: N802  aiosmtpd's name
        fields = b64decode(args[1]).decode().split("\x01")
        return await self._bearer(server, fields[0].removeprefix("user="), fields[1])

    async def auth_OAUTHBEARER(self, server: Any, args: list[str]) -> AuthResult:  # noqa: N802  aiosmtpd's name
        fields = b64decode(args[1]).decode().split("\x01")
        user = fields[0].split(",")[1].removeprefix("a=")
        user = user.replace("=2C", ",").replace("=3D", "=")
        bearer = next(field for field in fields if field.startswith("auth="))
        return await self._bearer(server, user, bearer)

    async def _bearer(self, server: Any, user: str, field: str) -> AuthResult:
        token = self.receiver.tokens.get(user)
        if token is not None and field == f"auth=Bearer {token}":
            return AuthResult(success=True)
        # RFC 7628 section 3.2.3: the failure is a challenge first.
        await server.challenge_auth('{"status":"invalid_token"}')
        return AuthResult(success=False, handled=False)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        sender = "" if envelope.mail_from == "<>" else envelope.mail_from
        received = ReceivedMessage(
            Envelope(sender, tuple(envelope.rcpt_tos)), bytes(envelope.content)
        )
        answer = self.receiver.script.take(Step.CONTENT, envelope.rcpt_tos)
        if answer is Disturbance.ACCEPT_AND_DROP:
            self.receiver.record(received)
        if isinstance(answer, Disturbance):
            await server.disturb(answer)
        reply = str(answer or "250 2.0.0 OK")
        if reply.startswith("2"):
            self.receiver.record(received)
        return reply


def _address(argument: str) -> str:
    found = _PATH.search(argument)
    return found[1] if found else ""


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

"""One connection to an SMTP server under test, as aiosmtpd leads it and the script disturbs it."""

from __future__ import annotations

import asyncio
import re
import ssl
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from mailhub.mail.server import Encryption
from mailhub.mail.transports.base import Envelope
from mailhub.mail.transports.in_memory import Disturbance, ReceivedMessage, Step

if TYPE_CHECKING:
    from tests.servers.smtp import SmtpReceiver

_PATH = re.compile(r"<([^>]*)>")


class Conversation(SMTP):
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

    async def smtp_EHLO(self, hostname: str) -> None:
        self._note(f"EHLO {hostname}")
        if not self.receiver.extended:
            await self.push("500 5.5.1 Command unknown")
        elif not await self.scripted(Step.HELLO):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:
        self._note("STARTTLS")
        if not await self.scripted(Step.STARTTLS):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:
        self._note(f"AUTH {arg.split(maxsplit=1)[0]}")
        if not await self.scripted(Step.LOGIN):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str) -> None:
        self._note(f"MAIL {arg}")
        login_needed = bool(self.receiver.users or self.receiver.tokens)
        assert self.session is not None
        if login_needed and not self.session.authenticated:
            await self.push("530 5.7.0 Authentication required")
        elif not await self.scripted(Step.MAIL, _address(arg)):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:
        self._note(f"RCPT {arg}")
        assert self.envelope is not None
        if not self.envelope.mail_from or not await self.scripted(Step.RCPT, _address(arg)):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:
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

    async def smtp_RSET(self, arg: str) -> None:
        self._note("RSET")
        await super().smtp_RSET(arg)

    async def smtp_QUIT(self, arg: str) -> None:
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

    async def handle_EHLO(
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

    async def auth_XOAUTH2(self, server: Any, args: list[str]) -> AuthResult:
        fields = b64decode(args[1]).decode().split("\x01")
        return await self._bearer(server, fields[0].removeprefix("user="), fields[1])

    async def auth_OAUTHBEARER(self, server: Any, args: list[str]) -> AuthResult:
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

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
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

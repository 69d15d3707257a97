"""A mail server for trying things out: what is sent to it over SMTP can be read over IMAP.

It accepts mail for any recipient. Mail for an account lands in that account's INBOX, mail
for anybody else in the INBOX of the first account, so that a campaign to 200 addresses
shows as 200 messages there. A recipient whose name begins with "nobody" is refused, as a
real server refuses an unknown user. Both servers listen on a loopback address without TLS,
and keep everything in memory.

It stands on aiosmtpd and pymap, which the development requirements bring.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import threading
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

try:
    from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
    from proxyprotocol.noop import ProxyProtocolNoop
    from proxyprotocol.reader import ProxyProtocolReader
    from pymap.backend.dict import Config, Identity, Login
    from pymap.imap import IMAPServer
    from pymap.parsing.message import AppendMessage
    from pymap.user import UserMetadata
    from pysasl.hashing import BuiltinHash
except ImportError as error:
    raise ImportError(
        "The sandbox mail server needs the development requirements: make install-development"
    ) from error

FOLDERS = ("Drafts", "Sent", "Trash", "Junk", "Archive")
REFUSED_PREFIX = "nobody"
LARGEST_MESSAGE = 40 * 1024 * 1024
START_WITHIN = 10.0
_HASH = BuiltinHash(rounds=1)  # the passwords guard nothing, and every connection logs in


class SandboxMailServer:
    """An SMTP and an IMAP server over the same mailboxes, in a thread of their own.

    `accounts` maps addresses, which are login names too, to passwords; the first one also
    gets what belongs to none. A port of 0 chooses a free one: read `smtp_port` and
    `imap_port` once it runs. Use it in a `with`, or call `start` and `stop`.
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        *,
        host: str = "127.0.0.1",
        smtp_port: int = 0,
        imap_port: int = 0,
    ) -> None:
        if not accounts:
            raise ValueError("a sandbox mail server needs one account at least")
        self.host = host
        self.smtp_port = smtp_port
        self.imap_port = imap_port
        self._accounts = {address.lower(): password for address, password in accounts.items()}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Listen; raises OSError where a port is taken."""
        logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd's: every line, logins too
        # pymap tells whoever was in IDLE of news after they have hung up, a warning each time.
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        self._thread = threading.Thread(target=self._run, name="sandbox-mail", daemon=True)
        self._thread.start()
        self._started.wait(START_WITHIN)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End both servers; the mail is gone."""
        if self._loop is not None and self._stopped is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed by itself
                self._loop.call_soon_threadsafe(self._stopped.set)
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> SandboxMailServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told to the thread that waits in start()
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        mailboxes = _Mailboxes(self._accounts)
        await mailboxes.prepare()
        async with contextlib.AsyncExitStack() as stack:
            imap = await asyncio.start_server(mailboxes.serve_imap, self.host, self.imap_port)
            await stack.enter_async_context(imap)
            smtp = await self._loop.create_server(
                lambda: _speak_smtp(self._accounts, mailboxes), self.host, self.smtp_port
            )
            await stack.enter_async_context(smtp)
            self.imap_port = imap.sockets[0].getsockname()[1]
            self.smtp_port = smtp.sockets[0].getsockname()[1]
            self._started.set()
            await self._stopped.wait()


class _Mailboxes:
    """The accounts' folders in pymap's memory, and the server that shows them."""

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._accounts = accounts
        self._config = Config(
            Namespace(passlib_cfg=None, proxy_protocol=None),
            host=None,
            port=0,
            tls_enabled=False,
            demo_data=False,
            demo_user="",
            demo_password="",
            hash_context=_HASH,
            max_append_len=LARGEST_MESSAGE,
        )
        self._config.apply_context()
        self._login = Login(self._config)
        reader = ProxyProtocolReader(ProxyProtocolNoop())
        self.serve_imap = reader.get_callback(IMAPServer(self._login, self._config))

    async def prepare(self) -> None:
        """Give every account its folders."""
        for address, password in self._accounts.items():
            user = UserMetadata(self._config, address, password=_HASH.hash(password))
            self._login.users_dict[address] = user
            async with self._identity(address).new_session() as session:
                for folder in FOLDERS:
                    await session.mailbox_set.add_mailbox(folder)

    async def deliver(self, recipient: str, message: bytes) -> None:
        """Put `message` into the INBOX of the account that gets this recipient's mail."""
        address = recipient.lower()
        owner = address if address in self._accounts else next(iter(self._accounts))
        async with self._identity(owner).new_session() as session:
            inbox = await session.mailbox_set.get_mailbox("INBOX")
            await inbox.append(AppendMessage(message, datetime.now(UTC)), recent=True)

    def _identity(self, address: str) -> Identity:
        return Identity(address, self._login, None, frozenset())


class _Receiver:
    """What aiosmtpd asks about each command; its methods are named as it wants them."""

    def __init__(self, mailboxes: _Mailboxes) -> None:
        self._mailboxes = mailboxes

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, name: str, answers: list[str]
    ) -> list[str]:
        session.host_name = name
        return [answers[0], "250-PIPELINING", *answers[1:]]

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address.lower().startswith(REFUSED_PREFIX):
            return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes), "decode_data is off"
        queue_id = secrets.token_hex(5).upper()
        for recipient in envelope.rcpt_tos:
            trace = (
                f"Return-Path: <{envelope.mail_from or ''}>\r\n"
                f"Delivered-To: {recipient}\r\n"
                f"Received: from {session.host_name} by sandbox.test with ESMTP id {queue_id};\r\n"
                f"\t{formatdate()}\r\n"
            )
            await self._mailboxes.deliver(recipient, trace.encode() + content)
        return f"250 2.0.0 OK: queued as {queue_id}"


def _speak_smtp(accounts: Mapping[str, str], mailboxes: _Mailboxes) -> SMTP:
    """The protocol of one connection."""

    def check(_server: SMTP, _session: Session, _envelope: Envelope, _: str, given: Any) -> Any:
        login = given.login.decode(errors="replace").lower()
        password = accounts.get(login, "").encode()
        right = login in accounts and hmac.compare_digest(password, given.password)
        return AuthResult(success=right, handled=False)

    return SMTP(
        _Receiver(mailboxes),
        hostname="sandbox.test",
        ident="mailhub sandbox",
        enable_SMTPUTF8=True,
        data_size_limit=LARGEST_MESSAGE,
        auth_require_tls=False,
        authenticator=check,
        loop=asyncio.get_running_loop(),
    )

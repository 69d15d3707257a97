"""Where a mail server is and how to log in to it: frozen values, secrets hidden.

A stored email account and the credentials inside a stateless call both become a
`ServerSettings`; from there on there is one way to open a store or a transport.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from mailhub.mail.host_guard import HostGuard


class Encryption(StrEnum):
    """How the connection is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class Protocol(StrEnum):
    """The language that the server speaks."""

    SMTP = "smtp"
    IMAP = "imap"
    POP3 = "pop3"


DEFAULT_PORTS: dict[tuple[Protocol, Encryption], int] = {
    (Protocol.SMTP, Encryption.TLS): 465,
    (Protocol.SMTP, Encryption.STARTTLS): 587,
    (Protocol.SMTP, Encryption.NONE): 25,
    (Protocol.IMAP, Encryption.TLS): 993,
    (Protocol.IMAP, Encryption.STARTTLS): 143,
    (Protocol.IMAP, Encryption.NONE): 143,
    (Protocol.POP3, Encryption.TLS): 995,
    (Protocol.POP3, Encryption.STARTTLS): 110,
    (Protocol.POP3, Encryption.NONE): 110,
}


@dataclass(frozen=True, slots=True)
class PasswordLogin:
    """A user name and a password (SASL PLAIN, RFC 4616, where the server offers it)."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OAuth2Login:
    """A bearer token for SASL XOAUTH2 or OAUTHBEARER (RFC 7628).

    `access_token` is a callable so that a kept-open transport asks for a fresh one at
    each new connection; whoever builds the login decides how it is refreshed. `renew` is told
    of a token that a server refused, and says whether `access_token` has another now.
    """

    username: str
    access_token: Callable[[], str] = field(repr=False)
    renew: Callable[[str], bool] | None = field(repr=False, default=None)


Login = PasswordLogin | OAuth2Login


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server, one login. `login` is None for a server that asks for none.

    `timeout` is in seconds and bounds each wait for the server, not the whole exchange; an
    IMAP server that never falls silent, and hardly says anything, is left after three of it.
    `guard` decides which addresses the host may resolve to. `ca_file` names a PEM file of
    authorities to trust in place of the system's. An IMAP server that sends more than
    `answer_limit` octets over one connection is left; 0 is no limit. So is one that sends more
    than `command_limit` in answer to one command. Large messages are read into files in
    `spool_folder` where there is one: see `mailhub.mail.octets`.
    """

    protocol: Protocol
    host: str
    port: int
    encryption: Encryption
    login: Login | None = None
    timeout: float = 30.0
    guard: HostGuard = field(default_factory=HostGuard)
    ca_file: str | None = None
    answer_limit: int = 0
    command_limit: int = 320 * 1024 * 1024
    spool_folder: Path | None = None

    @property
    def address(self) -> str:
        """`host:port`, for messages to people."""
        return f"{self.host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext:
        """A context that verifies the server's certificate and name.

        Raises OSError where `ca_file` cannot be read.
        """
        return _verifying_context(self.ca_file)


@lru_cache(maxsize=64)
def _verifying_context(ca_file: str | None) -> ssl.SSLContext:
    # Reading the system's authorities takes tens of milliseconds, too long per connection.
    return ssl.create_default_context(cafile=ca_file)

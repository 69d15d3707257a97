"""Does an account work? Logs in where it reads and where it sends, and changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from accounts.connections import incoming_settings, outgoing_settings
from accounts.models import EmailAccount
from accounts.pop3_login import log_in_to_pop3
from mailhub.api.errors import as_mailhub_error
from mailhub.errors import MailhubError
from mailhub.mail.errors import MailError
from mailhub.mail.server import Protocol, ServerSettings
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.transports.smtp import SmtpTransport

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One server. `error`, `message` and `details` are those that an API answer has."""

    protocol: Protocol
    hostname: str
    port: int
    works: bool = True
    error: str | None = None
    message: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verification:
    """Both sides of an account."""

    incoming: Check
    outgoing: Check | None

    @property
    def works(self) -> bool:
        """Whether every server that the account names lets it in."""
        return self.incoming.works and (self.outgoing is None or self.outgoing.works)


def verify_account(account: EmailAccount) -> Verification:
    """Log in to the servers of an account, stored or not."""
    incoming = _check(
        Check(Protocol(account.protocol), account.hostname, account.port),
        lambda: incoming_settings(account),
    )
    if not account.smtp_hostname:
        return Verification(incoming, None)
    outgoing = _check(
        Check(Protocol.SMTP, account.smtp_hostname, account.smtp_port or 0),
        lambda: outgoing_settings(account),
    )
    return Verification(incoming, outgoing)


def _check(check: Check, settings_of: Callable[[], ServerSettings]) -> Check:
    try:
        settings = settings_of()
        _log_in(dataclasses.replace(settings, timeout=min(settings.timeout, _PATIENCE)))
    except (MailError, MailhubError) as error:
        known = as_mailhub_error(error)
        assert known is not None
        return dataclasses.replace(
            check,
            works=False,
            error=known.code,
            message=known.message,
            details={name: str(value) for name, value in known.details.items()},
        )
    return check


def _log_in(settings: ServerSettings) -> None:
    match settings.protocol:
        case Protocol.IMAP:
            with ImapStore(settings):
                pass
        case Protocol.POP3:
            log_in_to_pop3(settings)
        case Protocol.SMTP:
            with SmtpTransport(settings):
                pass

"""Does an account work? Logs in where it reads and where it sends, and changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from accounts.connections import incoming_settings, outgoing_settings
from accounts.models import EmailAccount
from accounts.sending import account_ses
from mailhub.api.errors import as_mailhub_error
from mailhub.errors import MailhubError
from mailhub.mail.errors import MailError, SendingPaused
from mailhub.mail.server import Protocol, ServerSettings
from mailhub.mail.stores.imap import ImapStore
from mailhub.mail.stores.pop3 import Pop3Maildrop
from mailhub.mail.transports.ses_wire import SesWire
from mailhub.mail.transports.smtp import SmtpTransport

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One server. `error`, `message` and `details` are those that an API answer has."""

    protocol: str
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
    incoming = _tried(
        Check(account.protocol, account.hostname, account.port),
        lambda: _log_in(incoming_settings(account)),
    )
    return Verification(incoming, _outgoing(account))


def _outgoing(account: EmailAccount) -> Check | None:
    if account.ses_region:
        host = f"email.{account.ses_region}.amazonaws.com"
        return _tried(Check("ses", host, 443), lambda: _ask_ses(account))
    if not account.smtp_hostname:
        return None
    return _tried(
        Check(Protocol.SMTP, account.smtp_hostname, account.smtp_port or 0),
        lambda: _log_in(outgoing_settings(account)),
    )


def _tried(check: Check, log_in: Callable[[], str]) -> Check:
    try:
        return dataclasses.replace(check, message=log_in())
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


def _log_in(settings: ServerSettings) -> str:
    settings = dataclasses.replace(settings, timeout=min(settings.timeout, _PATIENCE))
    match settings.protocol:
        case Protocol.IMAP:
            with ImapStore(settings):
                pass
        case Protocol.POP3:
            with Pop3Maildrop(settings):
                pass
        case Protocol.SMTP:
            with SmtpTransport(settings):
                pass
    return ""


def _ask_ses(account: EmailAccount) -> str:
    """What a person should know of an SES account that works. Raises SendingPaused."""
    ses = account_ses(account)
    ses = dataclasses.replace(ses, timeout=min(ses.timeout, _PATIENCE))
    state = SesWire(ses.service).get_account()
    if not state.get("SendingEnabled", True):
        raise SendingPaused("Sending is paused for this SES account.")
    if not state.get("ProductionAccessEnabled", True):
        return "The SES account is in the sandbox: it sends to verified addresses only."
    return ""

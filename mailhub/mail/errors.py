"""Everything that can go wrong between us and a mail server.

    MailError
    ├── HostNotAllowed        permanent   the host points at a private address
    ├── HostNotFound                      the name does not resolve (may be DNS trouble)
    ├── ConnectionFailed                  refused, reset, or TLS failed
    ├── ServerTimeout                     no answer in time
    ├── LoginFailed           permanent   the server refused the login for good
    │   ├── ConsentRevoked                an OAuth2 provider accepts a person's permission no more
    │   └── ClientRefused                 it does not accept the client id or secret
    ├── LoginDeferred                     the server refused it for now (too many connections)
    ├── EncryptionRefused     permanent   no STARTTLS offered, or a certificate that does not verify
    ├── CapabilityMissing     permanent   the server lacks what we cannot do without
    ├── ProtocolViolation                 an answer that makes no sense
    ├── FolderMissing         permanent   no such folder, or it refuses SELECT
    ├── MessageMissing        permanent   no such UID
    ├── CommandRefused        by reply    the server said no to a command
    ├── RecipientRefused      by reply    the server refused this recipient
    ├── MessageRefused        by reply    the server refused the message
    ├── DeliveryUncertain     special     lost after the final dot, before its reply
    ├── SendingHeld                       the provider takes nothing now, whatever the message
    │   ├── RateExceeded                  faster than the provider allows
    │   ├── QuotaExceeded                 its daily quota is used up
    │   └── SendingPaused                 it, or its customer, has stopped the account's sending
    ├── AccountClosed         permanent   the provider has closed the account
    └── InvalidMessage        permanent   we refuse to send it (header injection, size)

`permanent` is the one bit that tells a retry from a stop. `DeliveryUncertain` is
neither: the message may have been accepted, so it is never sent again by itself.
`SendingHeld` is no failure of the message: it waits, and no try is used up.
"""

from __future__ import annotations

import errno
import re
import ssl
from dataclasses import dataclass
from functools import lru_cache

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said: SMTP code and enhanced code (RFC 3463) where there are any.

    IMAP and POP3 know none: their code is 0.
    """

    code: int
    text: str
    enhanced: str = ""

    @classmethod
    def read(cls, code: int, lines: list[str]) -> Reply:
        """A reply from the text of its lines without their codes.

        The enhanced code is taken from the lines that begin with one (RFC 2034); control
        characters and what is beyond 1,000 characters are left out.
        """
        enhanced = ""
        words = []
        for line in lines:
            found = _ENHANCED.match(line)
            if found is not None:
                enhanced = enhanced or found[1]
            words.append(_CONTROL.sub(" ", line[found.end() if found else 0 :]).strip())
        return cls(code, " ".join(filter(None, words))[:_LONGEST_TEXT], enhanced)

    @property
    def permanent(self) -> bool:
        """RFC 5321 section 4.2.1: 5yz is permanent.

        503 (our own bad sequence) is not about the message, and 552 without the
        enhanced code 5.3.4 is the old form of a full mailbox (RFC 5321 section 4.5.3.1.10).
        """
        if self.code == 552:
            return self.enhanced.startswith("5.3.4")
        return self.code >= 500 and self.code != 503

    def __str__(self) -> str:
        return _said(self)


@lru_cache(maxsize=256)
def _said(reply: Reply) -> str:
    parts = (str(reply.code or ""), reply.enhanced, reply.text)
    return " ".join(part for part in parts if part)


class MailError(Exception):
    """Base of all mail errors. Its text is a sentence for a person and holds no secret."""

    code = "mail_error"
    permanent = False

    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reply = reply


class HostNotAllowed(MailError):
    code = "host_not_allowed"
    permanent = True


class HostNotFound(MailError):
    code = "host_not_found"


class ConnectionFailed(MailError):
    code = "connection_failed"


_NO_WAY = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}


def connection_failed(error: Exception, address: str) -> ConnectionFailed:
    """What went wrong on a socket, in words for a person in place of the system's."""
    if isinstance(error, ConnectionRefusedError):
        words = f"{address} refused the connection."
    elif isinstance(error, ssl.SSLEOFError | ConnectionError):
        words = f"{address} closed the connection."
    elif isinstance(error, ssl.SSLError):
        words = f"No encryption with {address}: it may expect another encryption on this port."
    elif isinstance(error, OSError) and error.errno in _NO_WAY:
        words = f"There is no way to {address} from here."
    else:
        words = f"The connection to {address} failed."
    return ConnectionFailed(words)


class ServerTimeout(MailError):
    code = "server_timeout"


class LoginFailed(MailError):
    code = "login_failed"
    permanent = True


class ConsentRevoked(LoginFailed):
    code = "consent_revoked"


class ClientRefused(LoginFailed):
    code = "client_refused"


class LoginDeferred(MailError):
    code = "login_deferred"


class EncryptionRefused(MailError):
    code = "encryption_refused"
    permanent = True


class CapabilityMissing(MailError):
    code = "capability_missing"
    permanent = True


class ProtocolViolation(MailError):
    code = "protocol_violation"


class FolderMissing(MailError):
    code = "folder_missing"
    permanent = True


class MessageMissing(MailError):
    code = "message_missing"
    permanent = True


class _RefusedByReply(MailError):
    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message, reply)
        if reply is not None:
            self.permanent = reply.permanent


class CommandRefused(_RefusedByReply):
    code = "command_refused"


class RecipientRefused(_RefusedByReply):
    code = "recipient_refused"


class MessageRefused(_RefusedByReply):
    code = "message_refused"


class DeliveryUncertain(MailError):
    code = "delivery_uncertain"


class SendingHeld(MailError):
    """`retry_after` is in seconds: when it may be otherwise."""

    code = "sending_held"
    retry_after = 60.0

    def __init__(
        self, message: str, reply: Reply | None = None, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message, reply)
        if retry_after is not None:
            self.retry_after = retry_after


class RateExceeded(SendingHeld):
    code = "rate_exceeded"
    retry_after = 5.0


class QuotaExceeded(SendingHeld):
    code = "quota_exceeded"
    retry_after = 900.0


class SendingPaused(SendingHeld):
    code = "sending_paused"
    retry_after = 300.0


class AccountClosed(MailError):
    code = "account_closed"
    permanent = True


class InvalidMessage(MailError):
    code = "invalid_message"
    permanent = True
